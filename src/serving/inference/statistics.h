// What one model version has done so far: the numbers behind /stats and the nv_inference_* metrics.
//
// Writers add from any thread without a lock that readers could hold up: each thread has a cell of
// its own (telemetry), merged when read. Meanings are Triton's: `success` counts requests and the
// whole time from arrival to the last response; `queue`, `compute_*` their parts; `inference_count`
// counts rows, `execution_count` batches.

#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/time.h"
#include "core/telemetry/latency_window.h"

namespace tepal {

struct CountAndTime {
  uint64_t count = 0;
  uint64_t ns = 0;
};

struct BatchStatistics {
  CountAndTime compute_input, compute_infer, compute_output;
};

enum class FailureReason { kRejected, kCanceled, kBackend, kOther };
inline constexpr int kFailureReasons = 4;

// One instance of the model: how long it has been executing.
struct InstanceSnapshot {
  std::string name;
  std::optional<int32_t> gpu;  // None: on the CPU.
  uint64_t executions = 0;
  uint64_t busy_ns = 0;
};

struct ModelStatisticsSnapshot {
  uint64_t last_inference_ms = 0;  // Wall time of the last request, Unix milliseconds.
  uint64_t inference_count = 0;
  uint64_t execution_count = 0;
  CountAndTime success, fail, queue, compute_input, compute_infer, compute_output;
  CountAndTime cache_hit, cache_miss;
  uint64_t failures[kFailureReasons] = {};
  std::map<uint64_t, BatchStatistics> batches;  // By batch size in rows.
  int64_t pending = 0;                          // Given to the scheduler, execution not begun.
  int64_t in_flight = 0;                        // Given to the scheduler, not finished.
  std::vector<InstanceSnapshot> instances;
};

// What a model version has to do right now, and how fast it does it.
struct WorkSnapshot {
  int64_t pending = 0;  // As in ModelStatisticsSnapshot.
  int64_t in_flight = 0;
  Duration each{};  // Busy time of all instances a request, over their number; 0: not known yet.
  uint32_t instances = 1;
};

// How long the successful requests of the last minute have taken, for quantiles.
struct RecentLatencies {
  telemetry::LatencyWindow::Counts total, queue, compute_input, compute_infer, compute_output;
};

// Thread-safe.
class ModelStatistics {
 public:
  // `keeps_latencies`: also for Recent(), which costs 32 KiB and a few atomics a request.
  explicit ModelStatistics(bool keeps_latencies = false);
  ~ModelStatistics();

  // One request has ended well. Durations are its own, also where it shared a batch.
  struct Success {
    Duration total, queue, compute_input, compute_infer, compute_output;
    WallTime ended;
  };
  void AddSuccess(const Success& success);
  void AddFailure(FailureReason reason, Duration total);

  // One execution of `rows` rows has ended.
  void AddExecution(uint64_t rows, Duration input, Duration infer, Duration output);

  // What one instance has spent executing; written by whoever executes for it.
  class InstanceTime {
   public:
    void Add(Duration busy) {
      executions_.fetch_add(1, std::memory_order_relaxed);
      busy_ns_.fetch_add(static_cast<uint64_t>(busy.count()), std::memory_order_relaxed);
    }

   private:
    friend class ModelStatistics;
    std::atomic<uint64_t> executions_{0}, busy_ns_{0};
  };
  // That of an instance by name; lives as long as this.
  InstanceTime& Instance(const std::string& name, std::optional<int32_t> gpu);

  void AddPending(int64_t change);
  void AddInFlight(int64_t change);

  ModelStatisticsSnapshot Read() const;

  // For load reports with every answer: allocates nothing and takes a lock at most once in each
  // kWorkAge, when `each` is measured again.
  static constexpr Duration kWorkAge = 100ms;
  WorkSnapshot Work(Instant now) const;

  // None where they are not kept.
  std::unique_ptr<RecentLatencies> Recent(WallTime now) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tepal
