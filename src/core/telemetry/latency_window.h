// Quantiles of the durations of the last minute.
//
// Five slots of twelve seconds, each a histogram with LatencyHistogram's buckets; a slot whose time
// is over is cleared by the first writer that needs it, so quantiles are those of the last 48 to 60
// seconds. Thread-safe and without a lock: a duration that meets the clearing of its slot may be
// lost. Where every one counts, count beside.

#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

#include "core/base/time.h"
#include "core/telemetry/metrics.h"

namespace tepal::telemetry {

class LatencyWindow {
 public:
  static constexpr Duration kSlotTime = 12s;
  static constexpr int kSlots = 5;

  void Record(int64_t microseconds, WallTime now);

  using Counts = std::array<uint64_t, LatencyHistogram::kBuckets>;
  Counts Read(WallTime now) const;

 private:
  struct Slot {
    std::atomic<int64_t> period{-1};  // Which twelve seconds it holds.
    std::array<std::atomic<uint32_t>, LatencyHistogram::kBuckets> counts{};
  };
  std::array<Slot, kSlots> slots_;
};

}  // namespace tepal::telemetry
