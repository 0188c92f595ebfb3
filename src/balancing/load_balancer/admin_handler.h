// The admin server's routes.
//
//   GET  /                        302 to /dashboard.html
//   GET  /dashboard.html          the live page (web/dashboard.html)
//   GET  /metrics                 Prometheus text
//   GET  /api/tepal/state         all about the first pool, as one JSON object
//   GET  /api/tepal/pools         the same of every pool: what the dashboard shows
//   POST /api/tepal/reload        reads the configuration again; 409 where there is none
//   GET  /api/9/…                 NGINX Plus API, versions 6 to 9: see nginx_api.h
//   POST, PATCH, DELETE /api/9/http/upstreams/{upstream}/servers[/{id}]
//
// Anyone who reaches the address may change the pool: it belongs on a private one. Runs on the
// control loop.

#pragma once

#include <memory>

#include "balancing/load_balancer/admin_subject.h"
#include "network/http/stream.h"

namespace tepal::lb {

class AdminHandler final : public http::RequestHandler {
 public:
  explicit AdminHandler(AdminSubject& subject) : subject_(subject) {}

  std::unique_ptr<http::RequestReceiver> OnRequest(http::RequestHead head,
                                                   http::ResponseSender& sender) override;

 private:
  std::unique_ptr<http::RequestReceiver> Reload(const http::RequestHead& head,
                                                http::ResponseSender& sender);

  AdminSubject& subject_;
};

}  // namespace tepal::lb
