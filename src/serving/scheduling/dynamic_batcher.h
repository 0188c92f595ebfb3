// Decides which requests of one model form the next batch, and when.
//
// A plain state machine: no thread, no lock, no clock. Its owner (model_scheduler.h) says what time
// it is and whether an instance is free; the batcher answers with a batch, with the requests that
// may wait no longer, or with the next instant worth asking at. Rules are those of Triton's dynamic
// batcher (model_config.proto, ModelDynamicBatching and ModelQueuePolicy):
//
// - Requests leave by priority level (1 first), within one in order of arrival. Those whose timeout
//   has passed under the DELAY action come after the others of their level.
// - A batch is a prefix of that order, of at most `batch_rows_max` rows, whose requests agree in
//   the shapes of all inputs that are not ragged (the batch dimension left out).
// - It is due at once when its rows are a preferred size, when nothing more can join it, or when no
//   queue delay is set; otherwise once its oldest request has waited for `queue_delay_max`.
//
// Unlike Triton's, timeouts count when they are due, not when a batch happens to be formed.

#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/base/time.h"
#include "serving/inference/executor.h"
#include "serving/inference/statistics.h"
#include "serving/model_config/model_config.h"

namespace tepal {

struct BatcherOptions {
  int64_t batch_rows_max = 1;
  bool batches = false;         // Whether shapes carry a batch dimension (max_batch_size > 0).
  bool shares_batches = false;  // False: each batch is one request, as without dynamic_batching.
  std::vector<int64_t> preferred_batch_rows;
  Duration queue_delay_max{};
  uint64_t priority_levels = 0;         // 0: one level, and priorities are ignored.
  uint64_t priority_level_default = 0;  // For requests that name none, or one that does not exist.
  QueuePolicy queue_policy_default;
  std::map<uint64_t, QueuePolicy> queue_policies;  // By priority level.
  std::vector<std::string> ragged_inputs;
};

BatcherOptions BatcherOptionsFor(const ModelConfig& config);

class DynamicBatcher {
 public:
  // Names a queued request; never used again for another one.
  using Ticket = uint64_t;

  // A request that leaves unserved and with what it is to be answered.
  struct Refused {
    std::unique_ptr<InferenceRequest> request;
    Status status;
    FailureReason reason;
  };

  explicit DynamicBatcher(BatcherOptions options);

  // On success the batcher owns `request`; on refusal the caller still does, and must answer it.
  // kInvalidArgument: more rows than a batch. kUnavailable: the queue of its level is full.
  Result<Ticket> Enqueue(std::unique_ptr<InferenceRequest>&& request, Instant now);

  // The next batch when one is due; empty otherwise. Ask only when an instance is free.
  Batch PopDue(Instant now);

  // Requests whose queue timeout (action REJECT) or own deadline has come.
  std::vector<Refused> TakeExpired(Instant now);

  // Takes a request out; null when it has left already. O(1).
  std::unique_ptr<InferenceRequest> Cancel(Ticket ticket);

  // From now on no batch waits for company: the model stops.
  void Hurry() { hurry_ = true; }

  // When PopDue would next return a batch if nothing else happened; Instant::min() for now.
  std::optional<Instant> NextBatch() const;
  // When TakeExpired would next have something to do.
  std::optional<Instant> NextExpiry() const;
  // The earlier of the two.
  std::optional<Instant> NextDeadline() const;

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

 private:
  using SlotIndex = uint32_t;
  static constexpr SlotIndex kNone = UINT32_MAX;

  struct List {
    SlotIndex first = kNone, last = kNone;
    size_t size = 0;
  };
  struct Level {
    List waiting;
    List delayed;  // Past their timeout, action DELAY.
  };
  using Levels = std::map<uint64_t, Level>;

  struct Slot {
    std::unique_ptr<InferenceRequest> request;  // Null: the slot is free.
    Levels::iterator level;
    uint64_t arrival = 0;
    Instant queued{};
    Instant timeout = Instant::max();  // Of waiting; max once it has passed.
    SlotIndex previous = kNone, next = kNone;
    uint32_t generation = 0;
    bool delayed = false;

    int64_t rows() const { return request->batch_rows; }
    Instant expiry() const { return std::min(timeout, request->deadline); }
  };

  // Of requests that expire together the older one is seen first.
  struct Expiry {
    Instant when;
    uint64_t arrival;
    SlotIndex index;
    auto operator<=>(const Expiry&) const = default;
  };

  // The longest batch that could leave now, kept up to date as requests arrive behind it.
  struct Plan {
    size_t count = 0;
    int64_t rows = 0;
    size_t preferred_count = 0;  // Of them: those that make the largest preferred size reached.
    bool closed = false;         // The request behind it cannot join.
    Instant oldest = Instant::max();
  };

  uint64_t LevelOf(const InferenceRequest& request) const;
  const QueuePolicy& PolicyOf(uint64_t level) const;
  Instant TimeoutOf(const InferenceRequest& request, const QueuePolicy& policy, Instant now) const;
  bool SameShapes(const InferenceRequest& a, const InferenceRequest& b) const;

  void Watch(SlotIndex index);
  void Unwatch(SlotIndex index);
  SlotIndex TakeSlot();
  void Append(List& list, SlotIndex index);
  void Unlink(SlotIndex index);
  std::unique_ptr<InferenceRequest> Remove(SlotIndex index);
  SlotIndex First() const;
  SlotIndex Next(SlotIndex index) const;

  void Expire(Instant now);
  const Plan& CurrentPlan() const;
  void Extend(Plan& plan, SlotIndex index) const;
  bool DueWithoutDelay(const Plan& plan) const;
  size_t DueCount(const Plan& plan, Instant now) const;

  const BatcherOptions options_;
  int64_t preferred_rows_max_;

  std::vector<Slot> slots_;
  std::vector<SlotIndex> free_slots_;
  Levels levels_;
  std::set<Expiry> expiries_;
  uint64_t arrivals_ = 0;
  std::vector<Refused> expired_;
  size_t size_ = 0;
  bool hurry_ = false;
  mutable Plan plan_;
  mutable bool plan_valid_ = true;
};

}  // namespace tepal
