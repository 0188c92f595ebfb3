// Sends a model the same requests again and again, and measures.
//
// Closed loop: so many clients, each sending its next request when the last one is answered. Open
// loop: Poisson arrivals at a rate, however long answers take; latency then counts from the moment
// a request was due, so that a stalled server is not measured less often (coordinated omission).
// Never retries and never hides: what its LoadTarget calls an error is a failure, counted with its
// reason. Lives on one loop; owned by it.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/env/random.h"
#include "core/telemetry/metrics.h"
#include "serving/client/load_target.h"
#include "serving/client/server_watch.h"

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
  std::vector<PhaseCost> costs;              // As phases, where they were watched.
};

class LoadGenerator {
 public:
  static constexpr size_t kReasonsMax = 20;

  struct Options {
    std::vector<LoadPhase> phases;
    Duration interval = 1s;
    // Open loop: arrivals above this many unanswered requests are failures "not sent".
    int64_t in_flight_max = 4096;
    Duration pause_after_failure = 10ms;  // Closed loop: a client waits before it tries again.
    uint64_t seed = 1;
  };

  // The target's requests are sent in turn. `target` and its loop outlive this.
  LoadGenerator(env::EventLoop& loop, LoadTarget& target, Options options);
  ~LoadGenerator();

  // What Start calls; each but `done` may be empty.
  struct Calls {
    Function<void(const LoadInterval&)> on_interval;  // Once an interval.
    Function<void()> on_edge;  // When the first phase begins, and whenever one has ended.
    // Once, after the last phase, when every request has been answered or has failed.
    Function<void(const LoadReport&)> done;
  };
  void Start(Calls calls);

  // Ends the run early: no new requests, then `done`.
  void Stop();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace tepal::client
