#include "balancing/load_balancer/admin_server.h"

#include "balancing/load_balancer/admin_handler.h"
#include "balancing/load_balancer/balancer_metrics.h"
#include "core/base/check.h"
#include "network/net/http_server.h"

namespace tepal::lb {

AdminServer::AdminServer(env::EventLoop& loop)
    : loop_(loop), subject_(std::make_unique<AdminSubject>()) {
  subject_->metrics.Add([subject = subject_.get()](telemetry::PrometheusWriter& writer) {
    WriteMetrics(subject->Read(), writer);
  });
}

AdminServer::~AdminServer() { Stop(); }

Result<env::Address> AdminServer::Listen(const env::Address& address,
                                         std::shared_ptr<net::TlsSource> tls) {
  TEPAL_CHECK(server_ == nullptr);
  net::HttpServer::Options options;
  options.tls = std::move(tls);
  server_ = std::make_unique<net::HttpServer>(
      std::vector<env::EventLoop*>{&loop_}, options,
      [subject = subject_.get()](env::EventLoop& loop) -> std::unique_ptr<http::RequestHandler> {
        return std::make_unique<AdminHandler>(*subject, loop);
      });
  return server_->Listen(address);
}

void AdminServer::Stop() {
  if (server_ != nullptr) server_->Stop();
}

}  // namespace tepal::lb
