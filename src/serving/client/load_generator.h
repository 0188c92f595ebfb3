// Sends a model the same requests again and again, and measures.
//
// Closed loop: so many clients, each sending its next request when the last one is answered. Open
// loop: Poisson arrivals at a rate, however long answers take; latency then counts from the moment
// a request was due, so that a stalled server is not measured less often (coordinated omission).
// Never retries and never hides: whatever is not a 200 is a failure, counted with its reason.
// Lives on one loop; owned by it.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/env/random.h"
#include "core/telemetry/metrics.h"
#include "network/net/http_client.h"
#include "serving/client/v2_client.h"

namespace tepal::client {

struct LoadPhase {
  int concurrency = 0;    // Closed loop when positive; with both 0 the phase is a pause.
  double rate_per_s = 0;  // Open loop when positive.
  Duration length = 10s;
};

// What happened in one interval, or in one whole phase.
struct LoadInterval {
  Duration begin{}, end{};  // Since the start.
  size_t phase = 0;
  int concurrency = 0;
  double rate_per_s = 0;
  uint64_t succeeded = 0;
  uint64_t failed = 0;
  int64_t in_flight = 0;  // At the end.
  int64_t p50_us = 0, p90_us = 0, p99_us = 0, max_us = 0;

  double throughput_per_s() const {
    const double seconds = ToSeconds(end - begin);
    return seconds <= 0 ? 0 : static_cast<double>(succeeded) / seconds;
  }
};

struct LoadReport {
  std::vector<LoadInterval> intervals;
  std::vector<LoadInterval> phases;
  uint64_t succeeded = 0;
  uint64_t failed = 0;
  std::map<std::string, uint64_t> failures;  // By reason; at most kReasonsMax of them.
};

class LoadGenerator {
 public:
  static constexpr size_t kReasonsMax = 20;

  struct Options {
    std::vector<LoadPhase> phases;
    Duration interval = 1s;
    Duration request_time_max = 60s;
    // Open loop: arrivals above this many unanswered requests are failures "not sent".
    int64_t in_flight_max = 4096;
    Duration pause_after_failure = 10ms;  // Closed loop: a client waits before it tries again.
    uint64_t seed = 1;
  };

  // `requests` are sent in turn. `client` and its loop outlive this.
  LoadGenerator(env::EventLoop& loop, net::HttpClient& client, env::Address server,
                std::vector<EncodedRequest> requests, Options options);
  ~LoadGenerator();

  // `on_interval` runs once an interval; `done` once, after the last phase, when every request has
  // been answered or has failed.
  void Start(Function<void(const LoadInterval&)> on_interval,
             Function<void(const LoadReport&)> done);

  // Ends the run early: no new requests, then `done`.
  void Stop();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace tepal::client
