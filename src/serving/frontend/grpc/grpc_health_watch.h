// grpc.health.v1.Health/Watch: the status of the server or of a model now, and again whenever it
// changes.
//
// The service is the server itself (the empty name, or that of a service of this port) or a model.
// A name that serves nothing is SERVICE_UNKNOWN until it does. The core tells nobody when something
// changes, so the watches of a loop look every kInterval, all at once and only while there are any.
// When the server drains they end with UNAVAILABLE.

#pragma once

#include <map>
#include <memory>
#include <string>

#include "core/env/event_loop.h"
#include "network/http/stream.h"
#include "serving/frontend/grpc/grpc_frontend.h"
#include "serving/server_core/server_core.h"

namespace tepal {

enum class ServingStatus { kUnknown = 0, kServing, kNotServing, kServiceUnknown };

// grpc.health.v1.HealthCheckResponse.
Buffer HealthMessage(ServingStatus status);

// The watches of one loop; used on its thread, and outlives them.
class GrpcHealthWatches {
 public:
  static constexpr Duration kInterval = 200ms;

  GrpcHealthWatches(ServerCore& core, env::EventLoop& loop, const GrpcFrontendOptions& options)
      : core_(core), loop_(loop), options_(options) {}
  ~GrpcHealthWatches();

  std::unique_ptr<http::RequestReceiver> Watch(const http::RequestHead& head,
                                               http::ResponseSender& sender);

 private:
  class Exchange;

  ServingStatus StatusOf(const std::string& service);
  void LookAgain();
  void Add(Exchange* exchange);
  void Remove(Exchange* exchange);

  ServerCore& core_;
  env::EventLoop& loop_;
  const GrpcFrontendOptions& options_;
  std::map<Exchange*, ServingStatus> watches_;  // And the status that was sent last.
  env::EventLoop::TimerId timer_ = 0;
};

}  // namespace tepal
