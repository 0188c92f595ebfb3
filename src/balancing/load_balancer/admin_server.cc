#include "balancing/load_balancer/admin_server.h"

#include "balancing/load_balancer/admin_handler.h"
#include "balancing/load_balancer/balancer_metrics.h"

namespace tepal::lb {

AdminServer::AdminServer(env::EventLoop& loop, const net::HttpServer::Options& options)
    : subject_(std::make_unique<AdminSubject>()),
      server_(std::make_unique<net::HttpServer>(
          std::vector<env::EventLoop*>{&loop}, options,
          [subject = subject_.get()](env::EventLoop&) -> std::unique_ptr<http::RequestHandler> {
            return std::make_unique<AdminHandler>(*subject);
          })) {
  subject_->metrics.Add([subject = subject_.get()](telemetry::PrometheusWriter& writer) {
    WriteMetrics(subject->Read(), writer);
  });
}

AdminServer::~AdminServer() { Stop(); }

Result<env::Address> AdminServer::Listen(const env::Address& address) {
  return server_->Listen(address);
}

void AdminServer::Stop() { server_->Stop(); }

}  // namespace tepal::lb
