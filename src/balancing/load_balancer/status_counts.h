// How many answers had each status. Thread-safe: every loop counts without a lock.

#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/telemetry/metrics.h"

namespace tepal::lb {

// In ascending order, without what has not been seen.
using StatusReading = std::vector<std::pair<int, uint64_t>>;

// [0]: 1xx … [4]: 5xx.
inline std::array<uint64_t, 5> ClassesOf(const StatusReading& codes) {
  std::array<uint64_t, 5> classes{};
  for (const auto& [status, count] : codes) classes[static_cast<size_t>(status / 100 - 1)] += count;
  return classes;
}

// `kSpread`: of how many threads each has cells of its own; 1: all share one.
template <unsigned kSpread>
class StatusCounts {
 public:
  // Others than 100 to 599 are none and not counted.
  void Add(int status) {
    if (status < kFirst || status >= kEnd) return;
    cells_[telemetry::ThreadCell() % kSpread]
        .counts[static_cast<size_t>(status - kFirst)]
        .fetch_add(1, std::memory_order_relaxed);
  }

  StatusReading Read() const {
    StatusReading codes;
    for (int status = kFirst; status < kEnd; ++status) {
      uint64_t sum = 0;
      for (const Cell& cell : cells_) {
        sum += cell.counts[static_cast<size_t>(status - kFirst)].load(std::memory_order_relaxed);
      }
      if (sum > 0) codes.emplace_back(status, sum);
    }
    return codes;
  }

 private:
  static constexpr int kFirst = 100;
  static constexpr int kEnd = 600;
  struct alignas(64) Cell {
    std::array<std::atomic<uint64_t>, kEnd - kFirst> counts{};
  };
  std::array<Cell, kSpread> cells_{};
};

}  // namespace tepal::lb
