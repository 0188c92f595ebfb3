#include "sim/world.h"

#include "sim/simulated_loop.h"
#include "sim/simulated_network.h"

namespace tepal::sim {

// 2030-01-01, so that timestamps look like some.
static constexpr auto kEpoch = std::chrono::seconds(1'893'456'000);

WallTime World::WorldClock::WallNow() const {
  return WallTime(kEpoch + world_.now_.time_since_epoch());
}

World::World(uint64_t seed, NetworkOptions network)
    : random_(seed), network_(std::make_unique<SimulatedNetwork>(*this, network)) {}

World::~World() {
  // What tasks own may give tasks to the loops as it goes.
  for (const auto& loop : loops_) loop->Clear();
  while (!events_.empty()) std::exchange(events_, {});
}

env::EventLoop& World::AddLoop() {
  loops_.push_back(std::make_unique<SimulatedLoop>(*this, *network_));
  return *loops_.back();
}

void World::At(Instant when, env::Task task) {
  events_.emplace(std::make_pair(when, events_made_++), std::move(task));
}

Duration World::Draw(Duration low, Duration high) {
  if (high <= low) return low;
  return low + Duration(static_cast<int64_t>(
                   random_.Below(static_cast<uint64_t>((high - low).count()) + 1)));
}

bool World::Step(Instant end) {
  std::optional<Instant> next;
  if (!events_.empty()) next = events_.begin()->first.first;
  std::vector<SimulatedLoop*> candidates;  // Due at `next`.
  for (const auto& loop : loops_) {
    const std::optional<Instant> due = loop->NextTurn();
    if (!due || (next && *due > *next)) continue;
    if (!next || *due < *next) candidates.clear();
    next = *due;
    candidates.push_back(loop.get());
  }
  if (!next || *next > end) return false;
  now_ = std::max(now_, *next);
  const bool event_is_due = !events_.empty() && events_.begin()->first.first <= now_;
  const size_t choice = random_.Below(candidates.size() + (event_is_due ? 1 : 0));
  if (choice < candidates.size()) {
    running_ = candidates[choice];
    candidates[choice]->Turn();
    running_ = nullptr;
  } else {
    env::Task task = std::move(events_.begin()->second);
    events_.erase(events_.begin());
    task();
  }
  return true;
}

bool World::RunUntil(Function<bool()> done, Duration time_max) {
  const Instant end = now_ + time_max;
  while (!done()) {
    if (Step(end)) continue;
    now_ = end;
    return done();
  }
  return true;
}

}  // namespace tepal::sim
