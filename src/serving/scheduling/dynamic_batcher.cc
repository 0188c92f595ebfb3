#include "serving/scheduling/dynamic_batcher.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/base/text.h"

namespace tepal {
namespace {

Duration FromMicroseconds(uint64_t us) {
  constexpr uint64_t kForever = static_cast<uint64_t>(Duration::max().count()) / 4000;
  return std::chrono::microseconds(static_cast<int64_t>(std::min(us, kForever)));
}

}  // namespace

BatcherOptions BatcherOptionsFor(const ModelConfig& config) {
  BatcherOptions options;
  options.batches = config.max_batch_size > 0;
  options.batch_rows_max = std::max(config.max_batch_size, 1);
  if (!config.dynamic_batching) return options;
  const DynamicBatching& batching = *config.dynamic_batching;
  options.shares_batches = options.batches;
  options.preferred_batch_rows.assign(batching.preferred_batch_size.begin(),
                                      batching.preferred_batch_size.end());
  options.queue_delay_max = FromMicroseconds(batching.max_queue_delay_us);
  options.priority_levels = batching.priority_levels;
  options.priority_level_default = batching.default_priority_level;
  options.queue_policy_default = batching.default_queue_policy;
  options.queue_policies = batching.priority_queue_policy;
  for (const ModelInput& input : config.inputs) {
    if (input.allow_ragged_batch) options.ragged_inputs.push_back(input.name);
  }
  return options;
}

DynamicBatcher::DynamicBatcher(BatcherOptions options)
    : options_(std::move(options)), preferred_rows_max_(options_.batch_rows_max) {
  TEPAL_CHECK(options_.batch_rows_max > 0);
  TEPAL_CHECK(options_.queue_delay_max >= Duration::zero());
  const auto& preferred = options_.preferred_batch_rows;
  if (!preferred.empty()) {
    preferred_rows_max_ =
        std::min(options_.batch_rows_max, *std::max_element(preferred.begin(), preferred.end()));
  }
}

Result<DynamicBatcher::Ticket> DynamicBatcher::Enqueue(std::unique_ptr<InferenceRequest>&& request,
                                                       Instant now) {
  TEPAL_CHECK(request != nullptr);
  if (request->batch_rows < 1 || request->batch_rows > options_.batch_rows_max) {
    return InvalidArgument(Concat(RequestIdPrefix(*request), "request has ", request->batch_rows,
                                  " rows; a batch takes 1 to ", options_.batch_rows_max));
  }
  const uint64_t level = LevelOf(*request);
  const QueuePolicy& policy = PolicyOf(level);
  const auto found = levels_.try_emplace(level).first;
  if (policy.max_queue_size != 0 &&
      found->second.waiting.size + found->second.delayed.size >= policy.max_queue_size) {
    return Unavailable(RequestIdPrefix(*request) + "Exceeds maximum queue size");
  }

  const SlotIndex index = TakeSlot();
  Slot& slot = slots_[index];
  slot.level = found;
  slot.arrival = ++arrivals_;
  slot.queued = now;
  slot.timeout = TimeoutOf(*request, policy, now);
  slot.delayed = false;
  slot.request = std::move(request);
  Append(found->second.waiting, index);
  Watch(index);
  ++size_;
  if (Next(index) != kNone) {
    plan_valid_ = false;  // It overtook others.
  } else if (plan_valid_ && !plan_.closed) {
    Extend(plan_, index);
  }
  return Ticket{slot.generation} << 32 | index;
}

Batch DynamicBatcher::PopDue(Instant now) {
  Expire(now);
  Batch batch;
  const size_t count = DueCount(CurrentPlan(), now);
  batch.reserve(count);
  while (batch.size() < count) batch.push_back(Remove(First()));
  return batch;
}

std::vector<DynamicBatcher::Refused> DynamicBatcher::TakeExpired(Instant now) {
  Expire(now);
  return std::exchange(expired_, {});
}

std::unique_ptr<InferenceRequest> DynamicBatcher::Cancel(Ticket ticket) {
  const auto index = static_cast<SlotIndex>(ticket);
  if (index >= slots_.size()) return nullptr;
  const Slot& slot = slots_[index];
  if (slot.request == nullptr || slot.generation != ticket >> 32) return nullptr;
  return Remove(index);
}

std::optional<Instant> DynamicBatcher::NextBatch() const {
  const Plan& plan = CurrentPlan();
  if (plan.count == 0) return std::nullopt;
  if (DueWithoutDelay(plan)) return Instant::min();
  return plan.oldest + options_.queue_delay_max;
}

std::optional<Instant> DynamicBatcher::NextExpiry() const {
  if (!expired_.empty()) return Instant::min();
  if (expiries_.empty()) return std::nullopt;
  return expiries_.begin()->when;
}

std::optional<Instant> DynamicBatcher::NextDeadline() const {
  const std::optional<Instant> batch = NextBatch(), expiry = NextExpiry();
  if (!batch) return expiry;
  if (!expiry) return batch;
  return std::min(*batch, *expiry);
}

uint64_t DynamicBatcher::LevelOf(const InferenceRequest& request) const {
  if (options_.priority_levels == 0) return 0;
  if (request.priority == 0 || request.priority > options_.priority_levels) {
    return options_.priority_level_default;
  }
  return request.priority;
}

const QueuePolicy& DynamicBatcher::PolicyOf(uint64_t level) const {
  const auto found = options_.queue_policies.find(level);
  return found == options_.queue_policies.end() ? options_.queue_policy_default : found->second;
}

Instant DynamicBatcher::TimeoutOf(const InferenceRequest& request, const QueuePolicy& policy,
                                  Instant now) const {
  uint64_t timeout_us = policy.default_timeout_us;
  // A request may shorten its wait, never lengthen it.
  if (policy.allow_timeout_override && request.timeout_us != 0 &&
      (timeout_us == 0 || request.timeout_us < timeout_us)) {
    timeout_us = request.timeout_us;
  }
  if (timeout_us == 0) return Instant::max();
  const Duration wait = FromMicroseconds(timeout_us);
  return wait < Instant::max() - now ? now + wait : Instant::max();
}

bool DynamicBatcher::SameShapes(const InferenceRequest& a, const InferenceRequest& b) const {
  if (a.inputs.size() != b.inputs.size()) return false;
  const auto& ragged = options_.ragged_inputs;
  const std::ptrdiff_t skipped = options_.batches ? 1 : 0;
  for (size_t i = 0; i < a.inputs.size(); ++i) {
    const InputTensor& x = a.inputs[i];
    const InputTensor& y = b.inputs[i];
    if (x.name != y.name || x.type != y.type || x.shape.size() != y.shape.size()) return false;
    if (x.shape.empty()) continue;
    if (!std::equal(x.shape.begin() + skipped, x.shape.end(), y.shape.begin() + skipped) &&
        std::find(ragged.begin(), ragged.end(), x.name) == ragged.end()) {
      return false;
    }
  }
  return true;
}

void DynamicBatcher::Watch(SlotIndex index) {
  const Slot& slot = slots_[index];
  if (slot.expiry() != Instant::max()) expiries_.insert({slot.expiry(), slot.arrival, index});
}

void DynamicBatcher::Unwatch(SlotIndex index) {
  const Slot& slot = slots_[index];
  if (slot.expiry() != Instant::max()) expiries_.erase({slot.expiry(), slot.arrival, index});
}

DynamicBatcher::SlotIndex DynamicBatcher::TakeSlot() {
  if (free_slots_.empty()) {
    TEPAL_CHECK(slots_.size() < kNone);
    slots_.emplace_back();
    return static_cast<SlotIndex>(slots_.size() - 1);
  }
  const SlotIndex index = free_slots_.back();
  free_slots_.pop_back();
  return index;
}

void DynamicBatcher::Append(List& list, SlotIndex index) {
  Slot& slot = slots_[index];
  slot.previous = list.last;
  slot.next = kNone;
  (list.last == kNone ? list.first : slots_[list.last].next) = index;
  list.last = index;
  ++list.size;
}

void DynamicBatcher::Unlink(SlotIndex index) {
  Slot& slot = slots_[index];
  Level& level = slot.level->second;
  List& list = slot.delayed ? level.delayed : level.waiting;
  (slot.previous == kNone ? list.first : slots_[slot.previous].next) = slot.next;
  (slot.next == kNone ? list.last : slots_[slot.next].previous) = slot.previous;
  --list.size;
  plan_valid_ = false;
}

std::unique_ptr<InferenceRequest> DynamicBatcher::Remove(SlotIndex index) {
  Slot& slot = slots_[index];
  Unwatch(index);
  Unlink(index);
  const auto level = slot.level;
  // Clients choose priorities, so levels that none waits in do not pile up.
  if (level->second.waiting.size + level->second.delayed.size == 0 &&
      level->first != options_.priority_level_default) {
    levels_.erase(level);
  }
  ++slot.generation;
  free_slots_.push_back(index);
  --size_;
  return std::move(slot.request);
}

DynamicBatcher::SlotIndex DynamicBatcher::First() const {
  for (const auto& [number, level] : levels_) {
    if (level.waiting.size != 0) return level.waiting.first;
    if (level.delayed.size != 0) return level.delayed.first;
  }
  return kNone;
}

DynamicBatcher::SlotIndex DynamicBatcher::Next(SlotIndex index) const {
  const Slot& slot = slots_[index];
  if (slot.next != kNone) return slot.next;
  Levels::const_iterator level = slot.level;
  if (!slot.delayed && level->second.delayed.size != 0) return level->second.delayed.first;
  for (++level; level != levels_.end(); ++level) {
    if (level->second.waiting.size != 0) return level->second.waiting.first;
    if (level->second.delayed.size != 0) return level->second.delayed.first;
  }
  return kNone;
}

void DynamicBatcher::Expire(Instant now) {
  while (!expiries_.empty() && expiries_.begin()->when <= now) {
    const SlotIndex index = expiries_.begin()->index;
    Slot& slot = slots_[index];
    const bool dead = slot.request->deadline <= now;
    const QueuePolicy& policy = PolicyOf(slot.level->first);
    if (!dead && policy.timeout_action == QueuePolicy::TimeoutAction::kDelay) {
      Unwatch(index);
      Unlink(index);
      slot.timeout = Instant::max();
      slot.delayed = true;
      Append(slot.level->second.delayed, index);
      Watch(index);
      continue;
    }
    std::unique_ptr<InferenceRequest> request = Remove(index);
    if (dead) {
      expired_.push_back({std::move(request),
                          DeadlineExceeded("Request deadline passed while waiting in the queue"),
                          FailureReason::kCanceled});
    } else {
      expired_.push_back(
          {std::move(request), Unavailable("Request timeout expired"), FailureReason::kRejected});
    }
  }
}

const DynamicBatcher::Plan& DynamicBatcher::CurrentPlan() const {
  if (plan_valid_) return plan_;
  plan_ = Plan();
  for (SlotIndex index = First(); index != kNone && !plan_.closed; index = Next(index)) {
    Extend(plan_, index);
  }
  plan_valid_ = true;
  return plan_;
}

void DynamicBatcher::Extend(Plan& plan, SlotIndex index) const {
  const Slot& slot = slots_[index];
  if (plan.count != 0) {
    const int64_t rows = plan.rows + slot.rows();
    // Growing past every preferred size: what there is now is as good as it gets.
    if (options_.shares_batches && rows > preferred_rows_max_ && plan.preferred_count == 0) {
      plan.preferred_count = plan.count;
    }
    if (!options_.shares_batches || rows > options_.batch_rows_max ||
        !SameShapes(*slots_[First()].request, *slot.request)) {
      plan.closed = true;
      return;
    }
  }
  ++plan.count;
  plan.rows += slot.rows();
  plan.oldest = std::min(plan.oldest, slot.queued);
  const auto& preferred = options_.preferred_batch_rows;
  if (std::find(preferred.begin(), preferred.end(), plan.rows) != preferred.end()) {
    plan.preferred_count = plan.count;
  }
}

bool DynamicBatcher::DueWithoutDelay(const Plan& plan) const {
  return hurry_ || options_.queue_delay_max == Duration::zero() || !options_.shares_batches ||
         plan.closed || plan.preferred_count != 0 || plan.rows >= preferred_rows_max_;
}

size_t DynamicBatcher::DueCount(const Plan& plan, Instant now) const {
  if (plan.count == 0) return 0;
  const bool delay_passed =
      options_.queue_delay_max > Duration::zero() && now - plan.oldest >= options_.queue_delay_max;
  if (delay_passed) return plan.count;
  if (plan.preferred_count != 0) return plan.preferred_count;
  return DueWithoutDelay(plan) ? plan.count : 0;
}

}  // namespace tepal
