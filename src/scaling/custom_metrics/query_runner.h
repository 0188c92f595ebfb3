// One PromQL query for many that ask the same: in flight it is shared, and its answer is kept for a
// short time.
//
// Bounded: so many queries at once, so many waiting behind them; more is kUnavailable. An error is
// kept as an answer is, so that a Prometheus in trouble is not asked more often. One loop.

#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "scaling/custom_metrics/prometheus_client.h"

namespace tepal::custom_metrics {

class QueryRunner {
 public:
  struct Options {
    Duration keep = 1s;         // How long an answer is good for others.
    size_t in_flight_max = 16;  // Queries at Prometheus.
    size_t waiting_max = 1000;  // Different ones that wait for that,
    Duration wait_max = 4s;     // and for how long.
  };
  struct Counters {
    uint64_t asked = 0;   // Run was called.
    uint64_t sent = 0;    // Prometheus was.
    uint64_t failed = 0;  // Of those sent.
    uint64_t refused = 0;
  };
  using Answer = std::shared_ptr<const Result<QueryAnswer>>;

  // Both outlive it.
  QueryRunner(env::EventLoop& loop, PrometheusClient& client, Options options)
      : loop_(loop), client_(client), options_(options) {}
  ~QueryRunner() = default;  // Nobody is called from then on.

  // `done` runs once, perhaps inside the call.
  void Run(const std::string& promql, Function<void(Answer)> done);

  const Counters& counters() const { return counters_; }
  size_t in_flight() const { return in_flight_; }

 private:
  struct Entry {
    std::vector<Function<void(Answer)>> waiting;  // For an answer that is on its way.
    Answer answer;                                // Null: on its way.
  };

  void SendNext();
  // Ends the entry of `promql`. False: the runner was destroyed by somebody who was told.
  bool Answered(const std::string& promql, Result<QueryAnswer> answer);
  void OnAnswer(const std::string& promql, Result<QueryAnswer> answer);
  void DropOld();

  env::EventLoop& loop_;
  PrometheusClient& client_;
  const Options options_;
  std::map<std::string, Entry> entries_;
  std::deque<std::pair<Instant, std::string>> queue_;
  std::deque<std::pair<Instant, std::string>> kept_;  // In order of answering.
  size_t in_flight_ = 0;
  Counters counters_;
  const std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace tepal::custom_metrics
