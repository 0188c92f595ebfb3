// Asks one Prometheus server, over kept connections, from one event loop.
//
// It sends /api/v1/series and /api/v1/query and reads what they answer; it repeats nothing and
// remembers nothing but connections. A server that is down, slow, too talkative or no Prometheus is
// kUnavailable or kDeadlineExceeded with its reason; a query that Prometheus refuses, as it says
// itself, is kInvalidArgument. Tokens and certificates are read again as they rotate.

#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/function.h"
#include "core/env/clock.h"
#include "core/env/event_loop.h"
#include "core/env/file_system.h"
#include "network/kube/cluster_access.h"
#include "network/net/resolver.h"
#include "scaling/custom_metrics/prometheus_answer.h"

namespace tepal::custom_metrics {

class PrometheusClient {
 public:
  struct World {
    env::FileSystem& files;
    const env::Clock& clock;
    net::Resolver& resolver;  // All three outlive the client.
  };
  struct Options {
    kube::ClusterAccess access;  // Of the server; see ParsePrometheusUrl.
    std::vector<std::pair<std::string, std::string>> headers;  // Sent with each request.
    bool post = false;             // --prometheus-verb: parameters in a body instead of the URL.
    Duration query_time_max = 4s;  // An API server gives an APIService five.
    Duration series_time_max = 60s;
    Duration connect_time_max = 2s;
    uint64_t answer_bytes_max = 64 << 20;
  };

  // Reads files now: an error names them.
  static Result<std::unique_ptr<PrometheusClient>> New(env::EventLoop& loop, World world,
                                                       Options options);
  ~PrometheusClient();  // What is in progress ends without a call.

  // `done` runs once, never inside the call.
  void Query(const std::string& promql, Function<void(Result<QueryAnswer>)> done);
  // Series that `selector` matches and that had samples since `start`.
  void ListSeries(const std::string& selector, WallTime start,
                  Function<void(Result<std::vector<Series>>)> done);

 private:
  struct Impl;
  explicit PrometheusClient(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

// "https://prometheus.monitoring.svc:9090/prefix" into host, port, prefix and whether to use TLS.
Result<kube::ClusterAccess> ParsePrometheusUrl(std::string_view url);

// "NAME=VALUE", as --prometheus-header has it.
Result<std::pair<std::string, std::string>> ParseHeaderFlag(std::string_view text);

}  // namespace tepal::custom_metrics
