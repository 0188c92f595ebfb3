#include "core/telemetry/latency_window.h"

namespace tepal::telemetry {

static int64_t PeriodOf(WallTime now) {
  return std::chrono::floor<Duration>(now.time_since_epoch()) / LatencyWindow::kSlotTime;
}

static size_t SlotOf(int64_t period) { return static_cast<size_t>(period % LatencyWindow::kSlots); }

void LatencyWindow::Record(int64_t microseconds, WallTime now) {
  const int64_t period = PeriodOf(now);
  if (period < 0) return;
  Slot& slot = slots_[SlotOf(period)];
  // Also after the clock was set back: a slot of the future would stay for ever.
  int64_t seen = slot.period.load(std::memory_order_relaxed);
  if (seen != period &&
      slot.period.compare_exchange_strong(seen, period, std::memory_order_acq_rel)) {
    for (auto& count : slot.counts) count.store(0, std::memory_order_relaxed);
  }
  const auto bucket = static_cast<size_t>(LatencyHistogram::BucketOf(microseconds));
  slot.counts[bucket].fetch_add(1, std::memory_order_relaxed);
}

LatencyWindow::Counts LatencyWindow::Read(WallTime now) const {
  const int64_t current = PeriodOf(now);
  Counts sum{};
  for (const Slot& slot : slots_) {
    const int64_t period = slot.period.load(std::memory_order_acquire);
    if (period < 0 || period > current || period <= current - kSlots) continue;
    for (size_t i = 0; i < sum.size(); ++i) {
      sum[i] += slot.counts[i].load(std::memory_order_relaxed);
    }
  }
  return sum;
}

}  // namespace tepal::telemetry
