#include "serving/inference/statistics.h"

#include <algorithm>
#include <array>
#include <atomic>

#include "core/base/guarded.h"
#include "core/telemetry/metrics.h"

namespace tepal {
namespace {

using telemetry::kCells;

uint64_t Nanoseconds(Duration d) {
  return d > Duration::zero() ? static_cast<uint64_t>(d.count()) : 0;
}

void Add(std::atomic<uint64_t>& sum, uint64_t amount) {
  sum.fetch_add(amount, std::memory_order_relaxed);
}

uint64_t Get(const std::atomic<uint64_t>& sum) { return sum.load(std::memory_order_relaxed); }

// What batches of one size have taken; linked into a bucket once and never taken out.
struct SizeCell {
  explicit SizeCell(uint64_t batch_rows) : rows(batch_rows) {}
  const uint64_t rows;
  std::unique_ptr<SizeCell> next;
  std::atomic<uint64_t> count{0}, input{0}, infer{0}, output{0};
};

// By batch size: buckets of lists that only grow, and only in front, so that readers and writers
// need no lock. One model has few sizes: max_batch_size of them at the most.
class SizeTable {
 public:
  ~SizeTable() {
    for (std::atomic<SizeCell*>& bucket : buckets_) std::unique_ptr<SizeCell>(bucket.load());
  }

  SizeCell& Find(uint64_t rows) {
    std::atomic<SizeCell*>& bucket = buckets_[rows % kBuckets];
    SizeCell* first = bucket.load(std::memory_order_acquire);
    if (SizeCell* found = Among(first, rows)) return *found;
    auto fresh = std::make_unique<SizeCell>(rows);
    while (true) {
      fresh->next.reset(first);
      if (bucket.compare_exchange_weak(first, fresh.get(), std::memory_order_acq_rel)) {
        return *fresh.release();
      }
      (void)fresh->next.release();  // Still the table's.
      if (SizeCell* found = Among(first, rows)) return *found;
    }
  }

  template <typename Visit>
  void ForEach(Visit visit) const {
    for (const std::atomic<SizeCell*>& bucket : buckets_) {
      for (const SizeCell* cell = bucket.load(std::memory_order_acquire); cell != nullptr;
           cell = cell->next.get()) {
        visit(*cell);
      }
    }
  }

 private:
  static constexpr size_t kBuckets = 16;

  static SizeCell* Among(SizeCell* cell, uint64_t rows) {
    while (cell != nullptr && cell->rows != rows) cell = cell->next.get();
    return cell;
  }

  std::array<std::atomic<SizeCell*>, kBuckets> buckets_{};
};

struct alignas(64) Cell {
  std::atomic<uint64_t> success_count{0}, success_ns{0}, queue_ns{0};
  std::atomic<uint64_t> input_ns{0}, infer_ns{0}, output_ns{0};
  std::atomic<uint64_t> fail_ns{0}, last_inference_ms{0};
  std::array<std::atomic<uint64_t>, kFailureReasons> failures{};
  std::atomic<uint64_t> inference_count{0}, execution_count{0};
  std::atomic<int64_t> pending{0}, in_flight{0};
  SizeTable sizes;
};

void AddBatches(const SizeCell& cell, std::map<uint64_t, BatchStatistics>& batches) {
  BatchStatistics& batch = batches[cell.rows];
  const uint64_t count = Get(cell.count);
  batch.compute_input.count += count;
  batch.compute_infer.count += count;
  batch.compute_output.count += count;
  batch.compute_input.ns += Get(cell.input);
  batch.compute_infer.ns += Get(cell.infer);
  batch.compute_output.ns += Get(cell.output);
}

void AddCell(const Cell& cell, ModelStatisticsSnapshot& sum) {
  const uint64_t successes = Get(cell.success_count);
  for (CountAndTime* part :
       {&sum.success, &sum.queue, &sum.compute_input, &sum.compute_infer, &sum.compute_output}) {
    part->count += successes;
  }
  sum.success.ns += Get(cell.success_ns);
  sum.queue.ns += Get(cell.queue_ns);
  sum.compute_input.ns += Get(cell.input_ns);
  sum.compute_infer.ns += Get(cell.infer_ns);
  sum.compute_output.ns += Get(cell.output_ns);
  sum.fail.ns += Get(cell.fail_ns);
  for (size_t reason = 0; reason < kFailureReasons; ++reason) {
    const uint64_t failed = Get(cell.failures[reason]);
    sum.failures[reason] += failed;
    sum.fail.count += failed;
  }
  sum.last_inference_ms = std::max(sum.last_inference_ms, Get(cell.last_inference_ms));
  sum.inference_count += Get(cell.inference_count);
  sum.execution_count += Get(cell.execution_count);
  sum.pending += cell.pending.load(std::memory_order_relaxed);
  sum.in_flight += cell.in_flight.load(std::memory_order_relaxed);
  cell.sizes.ForEach([&](const SizeCell& size) { AddBatches(size, sum.batches); });
}

struct Windows {
  telemetry::LatencyWindow total, queue, compute_input, compute_infer, compute_output;

  void Add(const ModelStatistics::Success& success) {
    Record(total, success.total, success.ended);
    Record(queue, success.queue, success.ended);
    Record(compute_input, success.compute_input, success.ended);
    Record(compute_infer, success.compute_infer, success.ended);
    Record(compute_output, success.compute_output, success.ended);
  }

 private:
  static void Record(telemetry::LatencyWindow& window, Duration took, WallTime ended) {
    window.Record(std::chrono::duration_cast<std::chrono::microseconds>(took).count(), ended);
  }
};

}  // namespace

struct ModelStatistics::Impl {
  struct Instance {
    std::optional<int32_t> gpu;
    InstanceTime time;
  };

  // How long a request keeps the instances busy: what was measured last, and from what.
  struct Pace {
    uint64_t busy_ns = 0, successes = 0;
    double each_ns = 0;
  };

  Cell& Mine() { return cells[telemetry::ThreadCell() % kCells]; }
  void MeasurePace(Instant now);

  std::array<Cell, kCells> cells;
  Guarded<std::map<std::string, Instance>> instances;  // Only grows.
  std::unique_ptr<Windows> windows;                    // Null: not kept.
  std::atomic<int64_t> paced_at{INT64_MIN};            // When the pace was measured, as a count.
  std::atomic<int64_t> each_ns{0};                     // The pace, over the instances.
  std::atomic<uint32_t> instance_count{1};
  Guarded<Pace> pace;
};

ModelStatistics::ModelStatistics(bool keeps_latencies) : impl_(std::make_unique<Impl>()) {
  if (keeps_latencies) impl_->windows = std::make_unique<Windows>();
}
ModelStatistics::~ModelStatistics() = default;

void ModelStatistics::AddSuccess(const Success& success) {
  Cell& cell = impl_->Mine();
  Add(cell.success_count, 1);
  Add(cell.success_ns, Nanoseconds(success.total));
  Add(cell.queue_ns, Nanoseconds(success.queue));
  Add(cell.input_ns, Nanoseconds(success.compute_input));
  Add(cell.infer_ns, Nanoseconds(success.compute_infer));
  Add(cell.output_ns, Nanoseconds(success.compute_output));
  const auto ms = static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(success.ended.time_since_epoch())
          .count());
  // Threads that share a cell may write a few microseconds out of order; the field is in ms.
  cell.last_inference_ms.store(ms, std::memory_order_relaxed);
  if (impl_->windows != nullptr) impl_->windows->Add(success);
}

void ModelStatistics::AddFailure(FailureReason reason, Duration total) {
  Cell& cell = impl_->Mine();
  Add(cell.failures[static_cast<size_t>(reason)], 1);
  Add(cell.fail_ns, Nanoseconds(total));
}

void ModelStatistics::AddExecution(uint64_t rows, Duration input, Duration infer, Duration output) {
  Cell& cell = impl_->Mine();
  Add(cell.inference_count, rows);
  Add(cell.execution_count, 1);
  SizeCell& size = cell.sizes.Find(rows);
  Add(size.input, Nanoseconds(input));
  Add(size.infer, Nanoseconds(infer));
  Add(size.output, Nanoseconds(output));
  Add(size.count, 1);
}

ModelStatistics::InstanceTime& ModelStatistics::Instance(const std::string& name,
                                                         std::optional<int32_t> gpu) {
  Impl::Instance& instance = (*impl_->instances.Lock())[name];
  instance.gpu = gpu;
  return instance.time;
}

void ModelStatistics::Impl::MeasurePace(Instant now) {
  int64_t last = paced_at.load(std::memory_order_relaxed);
  const int64_t at = now.time_since_epoch().count();
  if (last != INT64_MIN && at - last < kWorkAge.count()) return;
  if (!paced_at.compare_exchange_strong(last, at, std::memory_order_relaxed)) return;
  uint64_t busy_ns = 0, successes = 0, count = 0;
  for (const auto& [name, instance] : *instances.Lock()) {
    busy_ns += Get(instance.time.busy_ns_);
    ++count;
  }
  for (const Cell& cell : cells) successes += Get(cell.success_count);
  auto before = pace.Lock();
  if (count == 0 || successes <= before->successes || busy_ns < before->busy_ns) return;
  // Many requests say more than what was known; few, less.
  constexpr double kEquals = 16;
  const auto fresh = static_cast<double>(successes - before->successes);
  const double each = static_cast<double>(busy_ns - before->busy_ns) / fresh;
  before->each_ns +=
      (each - before->each_ns) * (before->successes == 0 ? 1 : fresh / (fresh + kEquals));
  before->busy_ns = busy_ns;
  before->successes = successes;
  each_ns.store(static_cast<int64_t>(before->each_ns / static_cast<double>(count)),
                std::memory_order_relaxed);
  instance_count.store(static_cast<uint32_t>(count), std::memory_order_relaxed);
}

WorkSnapshot ModelStatistics::Work(Instant now) const {
  impl_->MeasurePace(now);
  WorkSnapshot work;
  for (const Cell& cell : impl_->cells) {
    work.pending += cell.pending.load(std::memory_order_relaxed);
    work.in_flight += cell.in_flight.load(std::memory_order_relaxed);
  }
  work.pending = std::max<int64_t>(work.pending, 0);
  work.in_flight = std::max<int64_t>(work.in_flight, 0);
  work.each = Duration(impl_->each_ns.load(std::memory_order_relaxed));
  work.instances = impl_->instance_count.load(std::memory_order_relaxed);
  return work;
}

void ModelStatistics::AddPending(int64_t change) {
  impl_->Mine().pending.fetch_add(change, std::memory_order_relaxed);
}

void ModelStatistics::AddInFlight(int64_t change) {
  impl_->Mine().in_flight.fetch_add(change, std::memory_order_relaxed);
}

std::unique_ptr<RecentLatencies> ModelStatistics::Recent(WallTime now) const {
  const Windows* const windows = impl_->windows.get();
  if (windows == nullptr) return nullptr;
  return std::make_unique<RecentLatencies>(RecentLatencies{
      windows->total.Read(now), windows->queue.Read(now), windows->compute_input.Read(now),
      windows->compute_infer.Read(now), windows->compute_output.Read(now)});
}

ModelStatisticsSnapshot ModelStatistics::Read() const {
  ModelStatisticsSnapshot sum;
  for (const Cell& cell : impl_->cells) AddCell(cell, sum);
  // Cells are read one after the other: a request that began in a cell read early and ended in one
  // read late must not show as a negative number.
  sum.pending = std::max<int64_t>(sum.pending, 0);
  sum.in_flight = std::max<int64_t>(sum.in_flight, 0);
  auto instances = impl_->instances.Lock();
  for (const auto& [name, instance] : *instances) {
    sum.instances.push_back(
        {name, instance.gpu, Get(instance.time.executions_), Get(instance.time.busy_ns_)});
  }
  return sum;
}

}  // namespace tepal
