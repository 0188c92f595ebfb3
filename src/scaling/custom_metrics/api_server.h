// The metrics API itself: takes requests, asks who it is and whether they may, answers.
//
// The order is that of Kubernetes' servers: read the request, authenticate, authorise, only then
// look at what it asks for. It keeps no state between requests, so any number of replicas may stand
// side by side. What a source cannot say now is 503 and never an empty list.
//
// Everything on one loop: its handler, the source and whom it asks.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/env/event_loop.h"
#include "core/telemetry/metrics.h"
#include "network/http/stream.h"
#include "scaling/custom_metrics/api_documents.h"
#include "scaling/custom_metrics/api_status.h"
#include "scaling/custom_metrics/authenticator.h"
#include "scaling/custom_metrics/authorizer.h"
#include "scaling/custom_metrics/metric_source.h"
#include "scaling/custom_metrics/object_directory.h"

namespace tepal::custom_metrics {

class ApiServer {
 public:
  struct World {  // All outlive it.
    env::EventLoop& loop;
    Authenticator& authenticator;
    Authorizer& authorizer;
    ObjectNames& objects;
    MetricSource& source;
    telemetry::MetricsRegistry& metrics;
  };
  struct Options {
    bool external = false;  // Serve external.metrics.k8s.io.
    std::string version = "0.0.0";
    size_t requests_max = 400;        // In progress, health checks left out; more: 429.
    Duration request_time_max = 30s;  // Then 504.
    Duration source_wait_max = 30s;   // Not ready for so long because the source has seen nothing.
  };
  ApiServer(World world, Options options);
  ~ApiServer();

  // For a server on the loop; may outlive this, and then answers 503.
  std::unique_ptr<http::RequestHandler> NewHandler();

  // One more thing that must be well before /readyz says so. Before the first request.
  void AddReadyCheck(std::string name, Function<Status()> check);

  // /readyz fails from now on; everything else is answered.
  void BeginShutdown();

  struct Counts {
    std::map<int, uint64_t> answers;  // By HTTP status.
    uint64_t requests_active = 0;
    uint64_t requests_refused = 0;  // 429.
  };
  const Counts& counts() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace tepal::custom_metrics
