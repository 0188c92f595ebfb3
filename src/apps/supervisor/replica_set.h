// Which slots have a replica, in which state, and what to do next so that there are as many as
// desired.
//
//            start            ready              scaled down          drained
//   free ───────────▶ starting ─────▶ ready ───────────────▶ draining ────────▶ stopping
//     ▲                   │ exit        │ exit                    │ exit             │ exit
//     │                   ▼             ▼                         ▼                  ▼
//     └──────────────  backing off ◀────┘                        free              free
//
// A plain state machine: it starts no process, sends no signal and knows no clock. Its owner tells
// it what happened and carries out the actions it answers with. A slot is used again only after its
// process has gone. Slots can come and go: one that is withdrawn gets no new replica, and the one
// it has is taken out of service; another slot takes over where one is free. Each start makes a new
// replica with a number of its own, never used again, so that late news of an earlier replica in
// the same slot is recognised and ignored. Owned by one thread.

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/base/time.h"

namespace tepal::supervisor {

using ReplicaId = uint64_t;  // Never 0.

enum class ReplicaState { kFree, kBackingOff, kStarting, kReady, kDraining, kStopping };
inline constexpr int kReplicaStates = 6;

// "free", "backing off", "starting", …
const char* Name(ReplicaState state);

struct ReplicaSetOptions {
  int slots = 1;
  Duration start_time_max = 120s;  // From start to ready; longer is killed.
  Duration drain_time_max = 60s;   // Then it is told to stop with requests still in flight.
  Duration stop_time_max = 20s;    // From SIGTERM to SIGKILL.
  // After a crash: twice as long each time, until a replica of the slot has been ready for
  // `backoff_forgotten_after`.
  Duration backoff_min = 250ms;
  Duration backoff_max = 30s;
  Duration backoff_forgotten_after = 60s;
};

// Which slots to leave and to take when there is a choice.
class SlotPreference {
 public:
  virtual ~SlotPreference() = default;
  // `count` of `ready`, which has more and begins with the oldest: where replicas stop.
  virtual std::vector<int> ChooseToLeave(std::span<const int> ready, size_t count) = 0;
  // One of `free`, which is not empty; `taken` have a process.
  virtual int ChooseToTake(std::span<const int> free, std::span<const int> taken) = 0;
};

class ReplicaSet {
 public:
  struct Action {
    enum class Kind {
      kStart,      // Start a process for `replica` in `slot`; answer with OnReady or OnExit.
      kAdmit,      // Give it traffic.
      kDrain,      // Give it no new request; answer with OnDrained.
      kRemove,     // Forget it as a target of traffic; once for each admitted replica.
      kTerminate,  // SIGTERM.
      kKill,       // SIGKILL.
    };
    Kind kind;
    int slot;
    ReplicaId replica;
  };
  struct Slot {
    ReplicaState state = ReplicaState::kFree;
    ReplicaId replica = 0;  // The present one, or the last one.
    Instant since{};        // When the state began.
    int crashes = 0;        // In a row.
    uint64_t starts = 0;
    bool admitted = false;  // Given traffic, and not removed yet.
    bool killed = false;    // SIGKILL was sent.
    bool offered = true;    // May have a replica.
  };

  // Every slot is offered. `preference` outlives this; null: the newest leave, the first are taken.
  explicit ReplicaSet(ReplicaSetOptions options, SlotPreference* preference = nullptr);

  // At most the number of slots. Fewer: those not serving yet go first, then by preference. More
  // than are offered: the rest wait for slots.
  void SetDesired(int replicas, Instant now);
  int desired() const { return desired_; }

  // The slot can be used from now on; only of a slot that is free.
  void Offer(int slot);
  // The slot's device has gone or will: its replica is drained and stopped, not replaced there.
  void WithdrawSlot(int slot, Instant now);
  int offered() const;

  // What happened. News of a replica that is not the slot's present one is ignored.
  void OnReady(ReplicaId replica, Instant now);
  void OnDrained(ReplicaId replica, Instant now);
  void OnExit(ReplicaId replica, Instant now);          // Also: could not be started.
  void OnUnresponsive(ReplicaId replica, Instant now);  // It is killed, then started again.

  // No more replicas, ever: drains and stops all. `at_once`: kills them.
  void Shutdown(bool at_once, Instant now);
  bool finished() const;  // Shut down and every process has gone.

  // What to do now, in order; each action is given once.
  std::vector<Action> Poll(Instant now);

  // When Poll would next return something without any news.
  std::optional<Instant> NextDeadline() const;

  const std::vector<Slot>& slots() const { return slots_; }
  int Count(ReplicaState state) const;
  // Asked for and not on the way out: backing off, starting and ready.
  int active() const;

 private:
  Slot* Find(ReplicaId replica);
  void Enter(Slot& slot, ReplicaState state, Instant now);
  void Emit(Action::Kind kind, const Slot& slot);
  void Remove(Slot& slot);
  void Withdraw(Slot& slot);
  void Kill(Slot& slot);
  void StartIn(Slot& slot, Instant now);
  void Retire(Slot& slot, Instant now);
  void FillFreeSlots(Instant now);
  void RetireSurplus(Instant now);
  void RetireReady(Instant now);
  void ActOnDeadlines(Instant now);
  std::optional<Instant> DeadlineOf(const Slot& slot) const;
  Duration BackoffAfter(int crashes) const;

  ReplicaSetOptions options_;
  SlotPreference* preference_;
  std::vector<Slot> slots_;
  std::vector<Action> actions_;
  ReplicaId last_id_ = 0;
  int desired_ = 0;
  bool shut_down_ = false;
};

}  // namespace tepal::supervisor
