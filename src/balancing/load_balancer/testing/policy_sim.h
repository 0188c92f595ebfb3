// For tests and benchmarks: policies on the same simulated arrivals, open loop, over slots of
// unequal speed, beside oracles that know every queue. Several balancers share the arrivals; each
// knows what it has sent itself, and what the slots say of themselves when they do (`reports`).

#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <queue>
#include <vector>

#include "balancing/load_balancer/dispatcher.h"

namespace tepal::lb {

// What the oracle knows beside every queue and the slots' speeds.
enum class Oracle { kQueues, kWork };  // kWork: how long each request will take.

struct PolicyRun {
  std::optional<ChoicePolicy> policy;  // None: the oracle.
  Oracle oracle = Oracle::kWork;
  int balancers = 1;
  bool reports = false;  // Slots say how loaded they are when they answer.
  std::vector<double> speeds = {3, 2, 1, 1, 1, 1, 1};
  int instances = 1;         // Of each slot: requests that it works on side by side.
  double load = 0.7;         // Of the capacity of all slots together.
  bool exponential = false;  // Work of a request; else within 10 % of its mean.
  int requests = 100'000;
  uint64_t seed = 1;
};

struct PolicyResult {
  double p50_ms = 0;
  double p99_ms = 0;
  std::vector<int> chosen;
};

class PolicySim {
 public:
  explicit PolicySim(const PolicyRun& run) : run_(run), random_(run.seed), dispatcher_random_(9) {
    Dispatcher::Options options;
    options.health.enabled = false;
    options.policy = run.policy.value_or(ChoicePolicy::kLeastOutstanding);
    for (int b = 0; b < run.balancers; ++b) {
      dispatchers_.push_back(std::make_unique<Dispatcher>(options, dispatcher_random_));
      for (size_t i = 0; i < run.speeds.size(); ++i) {
        EndpointSpec spec;
        spec.address = {env::Address::Family::kIp4, "10.0.0.1", static_cast<uint16_t>(1 + i)};
        (void)dispatchers_.back()->Add(spec, Instant());
      }
    }
    slots_.resize(run.speeds.size());
    for (Slot& slot : slots_) slot.free_at.resize(static_cast<size_t>(run.instances), 0.0);
    result_.chosen.resize(run.speeds.size());
  }

  PolicyResult Run() {
    double capacity = 0;
    for (const double speed : run_.speeds) capacity += speed * run_.instances / kWorkSeconds;
    double now = 0;
    std::vector<double> latencies;
    for (int i = 0; i < run_.requests; ++i) {
      now += Exponential() / (run_.load * capacity);
      while (!answers_.empty() && answers_.top().at <= now) Answer(latencies);
      Arrive(now, static_cast<Ticket>(i + 1));
    }
    // What comes before the policies know anything is left out.
    latencies.erase(latencies.begin(),
                    latencies.begin() + static_cast<long>(latencies.size() / 10));
    std::sort(latencies.begin(), latencies.end());
    result_.p50_ms = latencies[latencies.size() / 2] * 1e3;
    result_.p99_ms = latencies[latencies.size() * 99 / 100] * 1e3;
    return result_;
  }

 private:
  static constexpr double kWorkSeconds = 0.02;  // Of a slot of speed 1.

  struct Slot {
    std::vector<double> free_at;  // Of its instances.
    uint64_t in_flight = 0;
    double each = 0;  // Seconds of work of a request, of late.
  };
  struct Pending {
    double at;
    double since;
    double work;
    size_t balancer;
    size_t slot;
    Dispatcher::Grant grant;
    bool operator<(const Pending& other) const { return at > other.at; }
  };

  double Exponential() { return -std::log(1 - random_.Unit()); }
  double Work() {
    return kWorkSeconds * (run_.exponential ? Exponential() : 0.9 + 0.2 * random_.Unit());
  }
  static Instant At(double seconds) { return Instant(1s) + FromSeconds(seconds); }

  // When slot `i` would have done `work` more.
  double Done(size_t i, double now, double work) const {
    const auto& free_at = slots_[i].free_at;
    const double free = *std::min_element(free_at.begin(), free_at.end());
    return std::max(free, now) + work / run_.speeds[i];
  }

  // When an oracle thinks so; the mean of what it does not know.
  double DoneByOracle(size_t i, double now, double work) const {
    if (run_.oracle == Oracle::kWork) return Done(i, now, work);
    const auto in_flight = static_cast<double>(slots_[i].in_flight);
    const double before = std::max(0.0, in_flight - run_.instances + 1) / run_.instances;
    return (before + 1) * kWorkSeconds / run_.speeds[i];
  }

  void Arrive(double now, Ticket ticket) {
    const double work = Work();
    Dispatcher::Grant grant;
    size_t slot = 0;
    const size_t balancer = run_.balancers > 1 ? random_.Below(dispatchers_.size()) : 0;
    if (run_.policy.has_value()) {
      grant = dispatchers_[balancer]->Admit({.ticket = ticket}, At(now)).grant;
      slot = grant.endpoint - 1;
    } else {
      for (size_t i = 1; i < run_.speeds.size(); ++i) {
        if (DoneByOracle(i, now, work) < DoneByOracle(slot, now, work)) slot = i;
      }
    }
    ++result_.chosen[slot];
    ++slots_[slot].in_flight;
    const double done = Done(slot, now, work);
    auto& free_at = slots_[slot].free_at;
    *std::min_element(free_at.begin(), free_at.end()) = done;
    answers_.push({done, now, work / run_.speeds[slot], balancer, slot, grant});
  }

  // As the server measures itself.
  ModelLoad Report(Slot& slot, double work) const {
    constexpr double kForget = 1.0 / 32;
    slot.each += (work - slot.each) * (slot.each > 0 ? kForget : 1);
    ModelLoad load;
    load.in_flight = load.in_flight_all = slot.in_flight;
    load.each = FromSeconds(slot.each / run_.instances);
    load.instances = static_cast<uint64_t>(run_.instances);
    return load;
  }

  void Answer(std::vector<double>& latencies) {
    const Pending answer = answers_.top();
    answers_.pop();
    --slots_[answer.slot].in_flight;
    if (run_.policy.has_value()) {
      const ModelLoad load = Report(slots_[answer.slot], answer.work);
      dispatchers_[answer.balancer]->Finish(answer.grant, TryEnd::kAnswered, 200, At(answer.at),
                                            {.load = run_.reports ? &load : nullptr});
    }
    latencies.push_back(answer.at - answer.since);
  }

  const PolicyRun run_;
  env::SeededRandom random_;
  env::SeededRandom dispatcher_random_;
  std::vector<std::unique_ptr<Dispatcher>> dispatchers_;
  std::vector<Slot> slots_;
  std::priority_queue<Pending> answers_;
  PolicyResult result_;
};

}  // namespace tepal::lb
