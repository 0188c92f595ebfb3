// For tests and benchmarks: one balancer's policies on the same simulated arrivals, open loop, over
// slots of unequal speed, beside an oracle that knows every queue and how long each of its requests
// will take.

#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <queue>
#include <vector>

#include "balancing/load_balancer/dispatcher.h"

namespace tepal::lb {

struct PolicyRun {
  std::optional<ChoicePolicy> policy;  // None: the oracle.
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
    dispatcher_ = std::make_unique<Dispatcher>(options, dispatcher_random_);
    for (size_t i = 0; i < run.speeds.size(); ++i) {
      EndpointSpec spec;
      spec.address = {env::Address::Family::kIp4, "10.0.0.1", static_cast<uint16_t>(1 + i)};
      (void)dispatcher_->Add(spec, Instant());
      free_at_.emplace_back(static_cast<size_t>(run.instances), 0.0);
    }
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

  struct Pending {
    double at;
    double since;
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
    const double free = *std::min_element(free_at_[i].begin(), free_at_[i].end());
    return std::max(free, now) + work / run_.speeds[i];
  }

  void Arrive(double now, Ticket ticket) {
    const double work = Work();
    Dispatcher::Grant grant;
    size_t slot = 0;
    if (run_.policy.has_value()) {
      grant = dispatcher_->Admit({.ticket = ticket}, At(now)).grant;
      slot = grant.endpoint - 1;
    } else {
      for (size_t i = 1; i < run_.speeds.size(); ++i) {
        if (Done(i, now, work) < Done(slot, now, work)) slot = i;
      }
    }
    ++result_.chosen[slot];
    const double done = Done(slot, now, work);
    *std::min_element(free_at_[slot].begin(), free_at_[slot].end()) = done;
    answers_.push({done, now, grant});
  }

  void Answer(std::vector<double>& latencies) {
    const Pending answer = answers_.top();
    answers_.pop();
    if (run_.policy.has_value()) {
      dispatcher_->Finish(answer.grant, TryEnd::kAnswered, 200, At(answer.at));
    }
    latencies.push_back(answer.at - answer.since);
  }

  const PolicyRun run_;
  env::SeededRandom random_;
  env::SeededRandom dispatcher_random_;
  std::unique_ptr<Dispatcher> dispatcher_;
  std::vector<std::vector<double>> free_at_;  // Of each slot's instances.
  std::priority_queue<Pending> answers_;
  PolicyResult result_;
};

}  // namespace tepal::lb
