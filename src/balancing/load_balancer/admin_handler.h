// The admin server's routes.
//
//   GET  /                        302 to /dashboard.html
//   GET  /dashboard.html          the live page, and its other files (web/)
//   GET  /metrics                 Prometheus text
//   GET  /api/tepal/state         all about the first pool, as one JSON object
//   GET  /api/tepal/pools         the same of every pool: what the dashboard shows
//   GET  /api/tepal/pools/{upstream}/models[/{number}]  its models; the endpoints of one
//   GET  /api/tepal/fleet         what every balancer of the fleet sees; 404 without a fleet
//   POST /api/tepal/reload        reads the configuration again; 409 where there is none
//   GET  /api/9/…                 NGINX Plus API, versions 6 to 9: see nginx_api.h
//   POST, PATCH, DELETE /api/9/http/upstreams/{upstream}/servers[/{id}]
//
// Without tokens (admin_access.h) and roles of certificates (certificate_roles.h) anyone who
// reaches the address may change the pools: it belongs on a private one then. Every change that is
// asked for is a line in the log that says who asked. Runs on the control loop.

#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "balancing/load_balancer/admin_subject.h"
#include "core/env/event_loop.h"
#include "network/net/certificate_authorities.h"
#include "network/net/tls_peer.h"

namespace tepal::lb {

class AdminHandler final : public net::PeerAwareHandler {
 public:
  // `peer`: who has connected; the handshake has checked that. The subject outlives the loop's
  // work.
  AdminHandler(AdminSubject& subject, env::EventLoop& loop,
               std::optional<net::CertifiedPeer> peer = std::nullopt)
      : subject_(subject), loop_(loop), peer_(std::move(peer)) {}

  std::unique_ptr<http::RequestHandler> ForPeer(
      std::shared_ptr<const net::PeerCertificates> shown) override;

  std::unique_ptr<http::RequestReceiver> OnRequest(http::RequestHead head,
                                                   http::ResponseSender& sender) override;

 private:
  std::unique_ptr<http::RequestReceiver> Reload(const http::RequestHead& head, std::string caller,
                                                http::ResponseSender& sender);

  std::unique_ptr<http::RequestReceiver> Fleet(const http::RequestHead& head,
                                               http::ResponseSender& sender);

  AdminSubject& subject_;
  env::EventLoop& loop_;
  const std::optional<net::CertifiedPeer> peer_;
};

}  // namespace tepal::lb
