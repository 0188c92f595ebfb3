// The admin server of one balancer process: the dashboard, the admin API and the metrics page, for
// any number of pools. The routes are in admin_handler.h. Everything is on one loop.

#pragma once

#include <memory>

#include "balancing/load_balancer/admin_subject.h"
#include "core/env/event_loop.h"
#include "network/net/tls.h"

namespace tepal::net {
class HttpServer;
}

namespace tepal::lb {

class AdminServer {
 public:
  explicit AdminServer(env::EventLoop& loop);
  ~AdminServer();

  // What it speaks for; pools may be added and removed at any time, and must be before they go.
  AdminSubject& subject() { return *subject_; }

  // `tls`: given, it speaks TLS. Once.
  Result<env::Address> Listen(const env::Address& address,
                              std::shared_ptr<net::TlsSource> tls = nullptr);
  void Stop();

 private:
  env::EventLoop& loop_;
  std::unique_ptr<AdminSubject> subject_;
  std::unique_ptr<net::HttpServer> server_;  // Null until it listens.
};

}  // namespace tepal::lb
