// Sends the health checks of a pool and says how they went: over HTTP, or over gRPC to
// grpc.health.v1 or to the ServerReady or ModelReady of KServe v2. Owned by the control loop.

#pragma once

#include <memory>
#include <string>
#include <unordered_map>

#include "balancing/load_balancer/dispatcher.h"
#include "balancing/load_balancer/health_match.h"
#include "core/base/function.h"
#include "network/net/http_client.h"

namespace tepal::lb {

class HealthProbe {
 public:
  // kInvalidArgument names the option that makes no sense.
  static Status Validate(const HealthCheck::Options& options);

  HealthProbe(env::EventLoop& loop, std::shared_ptr<net::TlsSource> tls);
  ~HealthProbe();  // Checks in progress are not answered.

  // The options have been validated. `done` gets an empty text when the check has passed, and is
  // called once within the time limit, never from within Send.
  void Send(const Dispatcher::Check& check, const HealthCheck::Options& options,
            Function<void(std::string error)> done);

 private:
  struct Call;
  void SendHttp(const env::Address& to, const HealthCheck::Options& options,
                Function<void(std::string)> done);
  void SendGrpc(const env::Address& to, const HealthCheck::Options& options,
                Function<void(std::string)> done);
  void End(uint64_t number, std::string error);

  env::EventLoop& loop_;
  std::unique_ptr<net::HttpClient> http_;
  std::unique_ptr<net::HttpClient> grpc_;
  std::unordered_map<uint64_t, std::unique_ptr<Call>> calls_;
  uint64_t calls_begun_ = 0;
  const std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace tepal::lb
