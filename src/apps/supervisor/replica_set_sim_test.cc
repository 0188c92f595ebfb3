// The replica set against seeded processes that start slowly, crash, hang and refuse to stop.
//
// Safety: one process a slot, signals only to those that live, traffic only to those that are
// ready, nothing drained without need, nothing started in a slot that has gone. Liveness: once the
// world behaves, there are exactly as many ready replicas as desired, and a shutdown ends.

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "apps/supervisor/replica_set.h"
#include "core/env/random.h"

namespace tepal::supervisor {
namespace {

using Kind = ReplicaSet::Action::Kind;

constexpr int kSeeds = 300;
constexpr Instant kStart{std::chrono::hours(1)};
constexpr Instant kNever = Instant::max();

struct FakeProcess {
  int slot = 0;
  Instant ready_at = kNever;
  Instant drained_at = kNever;
  Instant exits_at = kNever;
  bool hears_sigterm = true;
  bool has_traffic = false;
  bool was_ready = false;
};

class World {
 public:
  World(uint64_t seed, const ReplicaSetOptions& options)
      : random_(seed), options_(options), set_(options) {}

  ReplicaSet& set() { return set_; }
  env::Random& random() { return random_; }
  Instant now() const { return now_; }
  bool kind = false;  // No more faults.

  void Advance(Duration step) {
    now_ += step;
    for (auto& [id, process] : processes_) {
      if (!kind && random_.Below(300) == 0) process.exits_at = now_;
      if (!kind && process.was_ready && random_.Below(500) == 0) set_.OnUnresponsive(id, now_);
      if (process.ready_at <= now_) {
        process.ready_at = kNever;
        process.was_ready = true;
        set_.OnReady(id, now_);
      }
      if (process.drained_at <= now_) {
        process.drained_at = kNever;
        set_.OnDrained(id, now_);
      }
    }
    for (auto it = processes_.begin(); it != processes_.end();) {
      const auto [id, process] = *it;
      if (process.exits_at > now_) {
        ++it;
        continue;
      }
      it = processes_.erase(it);
      set_.OnExit(id, now_);
      if (random_.Below(4) == 0) set_.OnDrained(id, now_);  // Late news.
    }
    for (const ReplicaSet::Action& action : set_.Poll(now_)) Do(action);
    CheckCounts();
  }

  // Slots come and go.
  void Churn() {
    const auto slot = static_cast<int>(random_.Below(static_cast<uint64_t>(options_.slots)));
    const ReplicaSet::Slot& state = set_.slots()[static_cast<size_t>(slot)];
    if (state.offered) {
      set_.WithdrawSlot(slot, now_);
    } else if (state.state == ReplicaState::kFree) {
      set_.Offer(slot);
    }
  }
  void OfferAll() {
    for (int slot = 0; slot < options_.slots; ++slot) {
      if (set_.slots()[static_cast<size_t>(slot)].state == ReplicaState::kFree) set_.Offer(slot);
    }
  }

  const std::map<ReplicaId, FakeProcess>& processes() const { return processes_; }

 private:
  Duration Up(Duration max) {
    return Duration(static_cast<int64_t>(random_.Below(static_cast<uint64_t>(max.count())) + 1));
  }

  void Do(const ReplicaSet::Action& action) {
    if (action.kind == Kind::kStart) return Start(action);
    if (action.kind == Kind::kRemove) {
      ASSERT_EQ(traffic_.erase(action.replica), 1u) << "removed what had no traffic";
      return;
    }
    const auto found = processes_.find(action.replica);
    ASSERT_NE(found, processes_.end()) << "an action for a process that has gone";
    FakeProcess& process = found->second;
    ASSERT_EQ(process.slot, action.slot);
    switch (action.kind) {
      case Kind::kAdmit:
        ASSERT_TRUE(process.was_ready);
        ASSERT_TRUE(traffic_.insert(action.replica).second) << "admitted twice";
        break;
      case Kind::kDrain:
        ASSERT_TRUE(traffic_.contains(action.replica));
        process.drained_at = random_.Below(10) == 0 ? kNever : now_ + Up(5s);
        break;
      case Kind::kTerminate:
        if (process.hears_sigterm) process.exits_at = std::min(process.exits_at, now_ + Up(3s));
        break;
      case Kind::kKill:
        process.exits_at = std::min(process.exits_at, now_ + Up(100ms));
        break;
      case Kind::kStart:
      case Kind::kRemove:
        break;
    }
  }

  void Start(const ReplicaSet::Action& action) {
    ASSERT_TRUE(ids_.insert(action.replica).second) << "a number was used twice";
    for (const auto& [id, process] : processes_) {
      ASSERT_NE(process.slot, action.slot) << "two processes in one slot";
    }
    if (!kind && random_.Below(10) == 0) return set_.OnExit(action.replica, now_);  // No fork.
    FakeProcess& process = processes_[action.replica];
    process.slot = action.slot;
    process.ready_at = !kind && random_.Below(20) == 0 ? kNever : now_ + Up(2s);
    process.hears_sigterm = random_.Below(10) != 0;
  }

  void CheckCounts() {
    ASSERT_LE(set_.active(), options_.slots);
    ASSERT_LE(set_.active(), set_.desired());
    for (const ReplicaSet::Slot& slot : set_.slots()) {
      if (set_.active() < set_.desired()) {
        ASSERT_FALSE(slot.offered && slot.state == ReplicaState::kFree) << "a slot was free";
      }
      if (slot.offered) continue;
      ASSERT_TRUE(slot.state == ReplicaState::kFree || slot.state == ReplicaState::kDraining ||
                  slot.state == ReplicaState::kStopping)
          << Name(slot.state) << " without a slot";
    }
    const int in_service = set_.Count(ReplicaState::kReady) + set_.Count(ReplicaState::kDraining);
    ASSERT_LE(static_cast<size_t>(in_service), traffic_.size());
    for (const ReplicaSet::Slot& slot : set_.slots()) {
      ASSERT_TRUE(slot.state != ReplicaState::kReady || traffic_.contains(slot.replica));
    }
  }

  env::SeededRandom random_;
  ReplicaSetOptions options_;
  ReplicaSet set_;
  Instant now_ = kStart;
  std::map<ReplicaId, FakeProcess> processes_;
  std::set<ReplicaId> traffic_;
  std::set<ReplicaId> ids_;
};

TEST(ReplicaSetSim, KeepsItsPromises) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    ReplicaSetOptions options;
    options.slots = 9;
    options.start_time_max = 10s;
    options.drain_time_max = 10s;
    options.stop_time_max = 5s;
    World world(seed, options);
    // Never asks for slots that are still being left, so that CheckCounts can expect active ==
    // desired.
    for (int step = 0; step < 600; ++step) {
      const int leaving =
          world.set().Count(ReplicaState::kDraining) + world.set().Count(ReplicaState::kStopping);
      if (world.random().Below(40) == 0) {
        const int most = options.slots - leaving;
        const uint64_t wishes = static_cast<uint64_t>(most) + 1;
        world.set().SetDesired(static_cast<int>(world.random().Below(wishes)), world.now());
      }
      if (seed % 2 == 0 && world.random().Below(20) == 0) world.Churn();
      world.Advance(100ms);
      if (testing::Test::HasFatalFailure()) return;
    }
    world.kind = true;
    for (int step = 0; step < 800; ++step) {
      world.OfferAll();
      world.Advance(100ms);
    }
    if (testing::Test::HasFatalFailure()) return;
    ASSERT_EQ(world.set().Count(ReplicaState::kReady), world.set().desired());
    ASSERT_EQ(world.processes().size(), static_cast<size_t>(world.set().desired()));

    world.set().Shutdown(false, world.now());
    for (int step = 0; step < 300 && !world.set().finished(); ++step) {
      if (step == 5 && seed % 3 == 0) world.set().Shutdown(true, world.now());
      world.Advance(100ms);
      if (testing::Test::HasFatalFailure()) return;
    }
    ASSERT_TRUE(world.set().finished());
    ASSERT_TRUE(world.processes().empty());
  }
}

}  // namespace
}  // namespace tepal::supervisor
