// How long a try may take before the request is better off elsewhere, learned from how long the
// answers for its model have taken of late.
//
// A multiple of nearly the longest of them: an endpoint that is frozen is left in a fraction of the
// fixed try_time_max, while one that is merely busy is not. Nothing is said before kAnswersMin
// answers, below kTryTimeMin, or of what is older than two windows. The limit asks for a rescue and
// fails nothing: without a place elsewhere, or a token of the retry budget, the try goes on.
// The same answers say what is usual, for a hedge (hedging.h).
// A plain state machine; one for each model of a pool.

#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "core/base/time.h"
#include "core/telemetry/metrics.h"

namespace tepal::lb {

class TryLimit {
 public:
  static constexpr double kQuantile = 0.99;
  static constexpr double kMultiple = 4;
  static constexpr double kUsualQuantile = 0.95;
  static constexpr Duration kTryTimeMin = 250ms;
  static constexpr uint64_t kAnswersMin = 100;
  static constexpr Duration kWindow = 20s;

  explicit TryLimit(double usual_quantile = kUsualQuantile) : usual_quantile_(usual_quantile) {}
  void SetUsualQuantile(double quantile);  // From the next answer on.

  void OnAnswer(Duration latency, Instant now);

  // `expected`: seconds that the endpoint is expected to take, with what it has to do now.
  std::optional<Duration> Limit(double expected, Instant now) const;

  // Within which that share of the answers has come. Nothing is said as above.
  std::optional<Duration> Usual(Instant now) const;
  // Of what was answered in the last one to two windows; nothing when nothing was.
  std::optional<Duration> Quantile(double q, Instant now) const;

 private:
  using Counts = std::array<uint64_t, telemetry::LatencyHistogram::kBuckets>;
  struct Window {
    Instant began{};
    uint64_t answers = 0;
    Counts counts{};
  };
  void Measure();
  bool Knows(Instant now) const;

  Window now_, before_;
  double usual_quantile_;
  Duration quantile_{}, usual_{};  // Of both windows; measured once in a while.
  uint64_t measured_ = 0;
};

}  // namespace tepal::lb
