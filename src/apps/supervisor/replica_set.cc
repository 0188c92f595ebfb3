#include "apps/supervisor/replica_set.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"

namespace tepal::supervisor {
namespace {

bool IsActive(ReplicaState state) {
  return state == ReplicaState::kBackingOff || state == ReplicaState::kStarting ||
         state == ReplicaState::kReady;
}

bool HasProcess(ReplicaState state) {
  return state != ReplicaState::kFree && state != ReplicaState::kBackingOff;
}

}  // namespace

const char* Name(ReplicaState state) {
  switch (state) {
    case ReplicaState::kFree:
      return "free";
    case ReplicaState::kBackingOff:
      return "backing off";
    case ReplicaState::kStarting:
      return "starting";
    case ReplicaState::kReady:
      return "ready";
    case ReplicaState::kDraining:
      return "draining";
    case ReplicaState::kStopping:
      return "stopping";
  }
  return "?";
}

ReplicaSet::ReplicaSet(ReplicaSetOptions options, SlotPreference* preference)
    : options_(options), preference_(preference), slots_(static_cast<size_t>(options.slots)) {
  TEPAL_CHECK(options.slots > 0);
}

void ReplicaSet::SetDesired(int replicas, Instant now) {
  TEPAL_CHECK(replicas >= 0 && replicas <= options_.slots);
  if (shut_down_) return;
  desired_ = replicas;
  RetireSurplus(now);
}

void ReplicaSet::Offer(int slot) {
  Slot& offered = slots_[static_cast<size_t>(slot)];
  TEPAL_CHECK(offered.offered || offered.state == ReplicaState::kFree);
  if (!std::exchange(offered.offered, true)) offered.crashes = 0;
}

void ReplicaSet::WithdrawSlot(int slot, Instant now) {
  Slot& gone = slots_[static_cast<size_t>(slot)];
  if (std::exchange(gone.offered, false)) Retire(gone, now);
}

int ReplicaSet::offered() const {
  return static_cast<int>(
      std::count_if(slots_.begin(), slots_.end(), [](const Slot& slot) { return slot.offered; }));
}

void ReplicaSet::OnReady(ReplicaId replica, Instant now) {
  Slot* slot = Find(replica);
  if (slot == nullptr || slot->state != ReplicaState::kStarting) return;
  if (slot->killed) return;  // Too late.
  Enter(*slot, ReplicaState::kReady, now);
  slot->admitted = true;
  Emit(Action::Kind::kAdmit, *slot);
}

void ReplicaSet::OnDrained(ReplicaId replica, Instant now) {
  Slot* slot = Find(replica);
  if (slot == nullptr || slot->state != ReplicaState::kDraining) return;
  Remove(*slot);
  Enter(*slot, ReplicaState::kStopping, now);
  Emit(Action::Kind::kTerminate, *slot);
}

void ReplicaSet::OnExit(ReplicaId replica, Instant now) {
  Slot* slot = Find(replica);
  if (slot == nullptr || !HasProcess(slot->state)) return;
  const ReplicaState before = slot->state;
  if (before == ReplicaState::kReady && now - slot->since >= options_.backoff_forgotten_after) {
    slot->crashes = 0;
  }
  Withdraw(*slot);
  Remove(*slot);
  if (IsActive(before)) {
    ++slot->crashes;
    Enter(*slot, ReplicaState::kBackingOff, now);
  } else {
    slot->crashes = 0;
    Enter(*slot, ReplicaState::kFree, now);
  }
}

void ReplicaSet::OnUnresponsive(ReplicaId replica, Instant now) {
  Slot* slot = Find(replica);
  if (slot == nullptr || slot->state != ReplicaState::kReady) return;
  // As if it had never become ready: no traffic, and its exit counts as a crash.
  Remove(*slot);
  Enter(*slot, ReplicaState::kStarting, now);
  Kill(*slot);
}

void ReplicaSet::Shutdown(bool at_once, Instant now) {
  shut_down_ = true;
  desired_ = 0;
  RetireSurplus(now);
  if (!at_once) return;
  for (Slot& slot : slots_) {
    if (!HasProcess(slot.state) || slot.killed) continue;
    Remove(slot);
    Enter(slot, ReplicaState::kStopping, now);
    Kill(slot);
  }
}

bool ReplicaSet::finished() const {
  return shut_down_ && Count(ReplicaState::kFree) == static_cast<int>(slots_.size());
}

std::vector<ReplicaSet::Action> ReplicaSet::Poll(Instant now) {
  ActOnDeadlines(now);
  FillFreeSlots(now);
  return std::exchange(actions_, {});
}

std::optional<Instant> ReplicaSet::NextDeadline() const {
  std::optional<Instant> next;
  for (const Slot& slot : slots_) {
    const std::optional<Instant> deadline = DeadlineOf(slot);
    if (deadline.has_value() && (!next.has_value() || *deadline < *next)) next = deadline;
  }
  return next;
}

int ReplicaSet::Count(ReplicaState state) const {
  return static_cast<int>(std::count_if(slots_.begin(), slots_.end(),
                                        [state](const Slot& slot) { return slot.state == state; }));
}

int ReplicaSet::active() const {
  return static_cast<int>(std::count_if(slots_.begin(), slots_.end(),
                                        [](const Slot& slot) { return IsActive(slot.state); }));
}

ReplicaSet::Slot* ReplicaSet::Find(ReplicaId replica) {
  for (Slot& slot : slots_) {
    if (replica != 0 && slot.replica == replica) return &slot;
  }
  return nullptr;
}

void ReplicaSet::Enter(Slot& slot, ReplicaState state, Instant now) {
  slot.state = state;
  slot.since = now;
}

void ReplicaSet::Emit(Action::Kind kind, const Slot& slot) {
  actions_.push_back({kind, static_cast<int>(&slot - slots_.data()), slot.replica});
}

void ReplicaSet::Remove(Slot& slot) {
  if (std::exchange(slot.admitted, false)) Emit(Action::Kind::kRemove, slot);
}

// Takes back what was not polled yet and makes no sense once the process has gone.
void ReplicaSet::Withdraw(Slot& slot) {
  std::erase_if(actions_, [&slot](const Action& action) {
    if (action.replica != slot.replica || action.kind == Action::Kind::kRemove) return false;
    if (action.kind == Action::Kind::kAdmit) slot.admitted = false;
    return true;
  });
}

void ReplicaSet::Kill(Slot& slot) {
  slot.killed = true;
  Emit(Action::Kind::kKill, slot);
}

void ReplicaSet::StartIn(Slot& slot, Instant now) {
  slot.replica = ++last_id_;
  ++slot.starts;
  slot.killed = false;
  Enter(slot, ReplicaState::kStarting, now);
  Emit(Action::Kind::kStart, slot);
}

// Takes an active replica out of service in the gentlest way its state allows.
void ReplicaSet::Retire(Slot& slot, Instant now) {
  switch (slot.state) {
    case ReplicaState::kBackingOff:
      Enter(slot, ReplicaState::kFree, now);
      break;
    case ReplicaState::kStarting:
      Enter(slot, ReplicaState::kStopping, now);
      Emit(Action::Kind::kTerminate, slot);
      break;
    case ReplicaState::kReady:
      Enter(slot, ReplicaState::kDraining, now);
      Emit(Action::Kind::kDrain, slot);
      break;
    case ReplicaState::kFree:
    case ReplicaState::kDraining:
    case ReplicaState::kStopping:
      break;
  }
}

void ReplicaSet::FillFreeSlots(Instant now) {
  while (active() < desired_) {
    std::vector<int> free;
    std::vector<int> taken;
    for (size_t i = 0; i < slots_.size(); ++i) {
      if (slots_[i].state != ReplicaState::kFree) {
        taken.push_back(static_cast<int>(i));
      } else if (slots_[i].offered) {
        free.push_back(static_cast<int>(i));
      }
    }
    if (free.empty()) return;
    const int next = preference_ == nullptr ? free[0] : preference_->ChooseToTake(free, taken);
    StartIn(slots_[static_cast<size_t>(next)], now);
  }
}

void ReplicaSet::RetireSurplus(Instant now) {
  // Enumerators of the active states are in the order of usefulness; the newest first.
  const auto rank = [](const Slot& slot) {
    return std::pair(static_cast<int>(slot.state), ~slot.replica);
  };
  while (active() > desired_) {
    Slot* least = nullptr;
    for (Slot& slot : slots_) {
      if (IsActive(slot.state) && (least == nullptr || rank(slot) < rank(*least))) least = &slot;
    }
    if (least->state == ReplicaState::kReady && preference_ != nullptr) return RetireReady(now);
    Retire(*least, now);
  }
}

// All that are active are ready.
void ReplicaSet::RetireReady(Instant now) {
  std::vector<int> ready;
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].state == ReplicaState::kReady) ready.push_back(static_cast<int>(i));
  }
  std::sort(ready.begin(), ready.end(), [this](int a, int b) {
    return slots_[static_cast<size_t>(a)].replica < slots_[static_cast<size_t>(b)].replica;
  });
  const size_t surplus = ready.size() - static_cast<size_t>(desired_);
  const std::vector<int> leaving =
      desired_ == 0 ? ready : preference_->ChooseToLeave(ready, surplus);
  TEPAL_CHECK(leaving.size() == surplus);
  for (const int slot : leaving) Retire(slots_[static_cast<size_t>(slot)], now);
}

void ReplicaSet::ActOnDeadlines(Instant now) {
  for (Slot& slot : slots_) {
    const std::optional<Instant> deadline = DeadlineOf(slot);
    if (!deadline.has_value() || now < *deadline) continue;
    if (slot.state == ReplicaState::kBackingOff) {
      StartIn(slot, now);
    } else if (slot.state == ReplicaState::kDraining) {
      Enter(slot, ReplicaState::kStopping, now);
      Emit(Action::Kind::kTerminate, slot);
    } else {
      Kill(slot);
    }
  }
}

std::optional<Instant> ReplicaSet::DeadlineOf(const Slot& slot) const {
  switch (slot.state) {
    case ReplicaState::kBackingOff:
      return slot.since + BackoffAfter(slot.crashes);
    case ReplicaState::kStarting:
      return slot.killed ? std::nullopt : std::optional(slot.since + options_.start_time_max);
    case ReplicaState::kDraining:
      return slot.since + options_.drain_time_max;
    case ReplicaState::kStopping:
      return slot.killed ? std::nullopt : std::optional(slot.since + options_.stop_time_max);
    case ReplicaState::kFree:
    case ReplicaState::kReady:
      break;
  }
  return std::nullopt;
}

Duration ReplicaSet::BackoffAfter(int crashes) const {
  Duration delay = options_.backoff_min;
  for (int i = 1; i < crashes && delay < options_.backoff_max; ++i) delay *= 2;
  return std::min(delay, options_.backoff_max);
}

}  // namespace tepal::supervisor
