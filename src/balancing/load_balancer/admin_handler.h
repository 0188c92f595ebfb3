// The admin server's routes.
//
//   GET  /                        302 to /dashboard.html
//   GET  /dashboard.html          the live page (web/dashboard.html)
//   GET  /metrics                 Prometheus text
//   GET  /api/tepal/state         everything the dashboard shows, as one JSON object
//   GET  /api/9/…                 NGINX Plus API, version 9: see nginx_api.h
//   POST, PATCH, DELETE /api/9/http/upstreams/{upstream}/servers[/{id}]
//
// Anyone who reaches the address may change the pool: it belongs on a private one. Runs on the
// control loop.

#pragma once

#include <memory>

#include "network/http/stream.h"

namespace tepal::lb {

class Balancer;

class AdminHandler final : public http::RequestHandler {
 public:
  explicit AdminHandler(Balancer& balancer) : balancer_(balancer) {}

  std::unique_ptr<http::RequestReceiver> OnRequest(http::RequestHead head,
                                                   http::ResponseSender& sender) override;

 private:
  Balancer& balancer_;
};

}  // namespace tepal::lb
