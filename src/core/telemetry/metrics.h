// Metric cells and the Prometheus text they become.
//
// A cell is resolved once, when its model is loaded or its server made, and written from any thread
// without a lock: a counter is spread over cache lines, so that loops do not fight over it, and is
// summed when scraped. What is only known at scrape time comes from a collector.
// Format: Prometheus text exposition 0.0.4.

#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/function.h"
#include "core/base/result.h"

namespace tepal::telemetry {

// An index for this thread, small and stable: which cell of a spread value is its own.
unsigned ThreadCell();
inline constexpr unsigned kCells = 16;

// Monotonic. Thread-safe.
class Counter {
 public:
  void Add(uint64_t amount = 1) {
    cells_[ThreadCell() % kCells].value.fetch_add(amount, std::memory_order_relaxed);
  }
  uint64_t value() const {
    uint64_t sum = 0;
    for (const Cell& cell : cells_) sum += cell.value.load(std::memory_order_relaxed);
    return sum;
  }

 private:
  struct alignas(64) Cell {
    std::atomic<uint64_t> value{0};
  };
  std::array<Cell, kCells> cells_;
};

// Goes up and down. Thread-safe.
class Gauge {
 public:
  void Add(int64_t amount) { value_.fetch_add(amount, std::memory_order_relaxed); }
  void Set(int64_t value) { value_.store(value, std::memory_order_relaxed); }
  int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> value_{0};
};

// Durations by power-of-two buckets with eight steps each (6 % error), for quantiles. Thread-safe.
class LatencyHistogram {
 public:
  void Record(int64_t microseconds);
  uint64_t count() const;
  // Microseconds; 0 when empty. `q` in [0, 1].
  int64_t Quantile(double q) const;
  // Bucket counts, to subtract two readings: quantiles of a window.
  static constexpr int kBuckets = 320;
  std::array<uint64_t, kBuckets> Read() const;
  static int64_t ValueOf(int bucket);  // Its middle, in microseconds.
  static int64_t QuantileOf(const std::array<uint64_t, kBuckets>& counts, double q);
  static int BucketOf(int64_t microseconds);

 private:
  std::array<std::atomic<uint64_t>, kBuckets> counts_{};
};

using Labels = std::vector<std::pair<std::string, std::string>>;

// Writes families in the text format: one Family, then its samples.
class PrometheusWriter {
 public:
  enum class Type { kCounter, kGauge, kHistogram, kSummary, kUntyped };
  void Family(std::string_view name, std::string_view help, Type type);
  void Sample(const Labels& labels, double value);
  void Sample(const Labels& labels, uint64_t value);
  void Sample(const Labels& labels, int64_t value);
  // For `_bucket`, `_sum`, `_count` of the current family.
  void SuffixedSample(std::string_view suffix, const Labels& labels, double value);
  void SuffixedSample(std::string_view suffix, const Labels& labels, uint64_t value);
  std::string Take() { return std::move(text_); }

 private:
  std::string name_;
  std::string text_;
};

// What to print when scraped: collectors, run in order of adding. Thread-safe.
class MetricsRegistry {
 public:
  using Collector = Function<void(PrometheusWriter&)>;
  void Add(Collector collector);
  std::string Text();

  MetricsRegistry();
  ~MetricsRegistry();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// One sample of a parsed page.
struct MetricSample {
  std::string name;
  Labels labels;
  double value = 0;  // May be NaN or infinite, as written.
};

// kInvalidArgument with the line's number when the page is malformed.
Result<std::vector<MetricSample>> ParsePrometheusText(std::string_view text);

}  // namespace tepal::telemetry
