// Policies beside each other on the same simulated arrivals: latencies of one balancer over slots
// of unequal speed, and how evenly many balancers load many slots. nginx's least_conn is
// least_outstanding; HAProxy's random(2) and Envoy's least_request are power_of_two.

#include <cstdio>
#include <queue>

#include "balancing/load_balancer/testing/policy_sim.h"

namespace tepal::lb {
namespace {

struct Named {
  const char* name;
  std::optional<ChoicePolicy> policy;
  bool reports = false;
  Oracle oracle = Oracle::kWork;
};
constexpr Named kAll[] = {{"round_robin", ChoicePolicy::kRoundRobin},
                          {"least_outstanding", ChoicePolicy::kLeastOutstanding},
                          {"power_of_two", ChoicePolicy::kPowerOfTwo},
                          {"least_time", ChoicePolicy::kLeastTime},
                          {"least_wait", ChoicePolicy::kLeastWait},
                          {"least_wait, reports", ChoicePolicy::kLeastWait, true},
                          {"oracle: queues", std::nullopt, false, Oracle::kQueues},
                          {"oracle: all work", std::nullopt}};

void Balancers(int balancers, bool exponential, int instances) {
  std::printf(
      "\n%d balancer(s), slots 3:2:1:1:1:1:1, %d instance(s) each, work of a request %s; "
      "p50 / p99 in ms\n",
      balancers, instances, exponential ? "exponential" : "20 ms / speed, +-10 %");
  std::printf("%-20s %16s %16s %16s\n", "load", "50 %", "70 %", "85 %");
  for (const Named& named : kAll) {
    std::printf("%-20s", named.name);
    for (const double load : {0.5, 0.7, 0.85}) {
      const PolicyResult result = PolicySim({.policy = named.policy,
                                             .oracle = named.oracle,
                                             .balancers = balancers,
                                             .reports = named.reports,
                                             .instances = instances,
                                             .load = load,
                                             .exponential = exponential,
                                             .requests = 400'000})
                                      .Run();
      std::printf(" %7.1f /%7.1f", result.p50_ms, result.p99_ms);
    }
    std::printf("\n");
  }
}

// Each balancer knows only what it has sent itself.
void Fleet(const Named& named, size_t balancers, size_t slots, double load) {
  struct Answer {
    double at, since;
    size_t balancer, slot;
    bool alone;
    bool operator<(const Answer& other) const { return at > other.at; }
  };
  env::SeededRandom random(1);
  std::vector<std::vector<Candidate>> views(balancers, std::vector<Candidate>(slots));
  std::vector<double> free_at(slots), speed(slots, 1.0);
  std::vector<int> queued(slots);
  for (size_t i = 0; i < slots; ++i) speed[i] = i % 7 == 0 ? 3 : i % 7 == 1 ? 2 : 1;
  double capacity = 0;
  for (const double s : speed) capacity += s / 0.02;
  std::priority_queue<Answer> answers;
  std::vector<double> latencies;
  double now = 0;
  int longest = 0;
  const auto at = [](double seconds) { return Instant(1s) + FromSeconds(seconds); };
  for (int i = 0; i < 3'000'000; ++i) {
    now -= std::log(1 - random.Unit()) / (load * capacity);
    for (; !answers.empty() && answers.top().at <= now; answers.pop()) {
      const Answer& answer = answers.top();
      Candidate& seen = views[answer.balancer][answer.slot];
      --seen.in_flight;
      --queued[answer.slot];
      seen.service.OnEnd(answer.alone, FromSeconds(answer.at - answer.since), true, at(answer.at));
      seen.latency += (answer.at - answer.since - seen.latency) * (seen.latency > 0 ? 0.125 : 1);
      if (i > 1'000'000) latencies.push_back(answer.at - answer.since);
    }
    const size_t balancer = random.Below(balancers);
    const size_t slot =
        Choose(*named.policy, views[balancer], random, {.now = at(now), .usual = 0.014});
    Candidate& seen = views[balancer][slot];
    const bool alone = seen.service.OnBegin(at(now));
    ++seen.in_flight;
    seen.turns += 1;
    if (i > 1'000'000) longest = std::max(longest, queued[slot] + 1);
    ++queued[slot];
    free_at[slot] = std::max(now, free_at[slot]) + 0.02 * (0.9 + 0.2 * random.Unit()) / speed[slot];
    answers.push({free_at[slot], now, balancer, slot, alone});
  }
  std::sort(latencies.begin(), latencies.end());
  std::printf("%-18s p50 %.1f ms, p99 %.1f ms, longest queue %d\n", named.name,
              latencies[latencies.size() / 2] * 1e3, latencies[latencies.size() * 99 / 100] * 1e3,
              longest);
}

}  // namespace
}  // namespace tepal::lb

int main() {
  using namespace tepal::lb;
  for (const int balancers : {1, 3}) {
    Balancers(balancers, false, 1);
    Balancers(balancers, true, 1);
    Balancers(balancers, false, 4);
  }
  std::printf("\n100 balancers over 10,000 slots of speeds 3:2:1:1:1:1:1 at 60 %%\n");
  for (const Named& named : kAll) {
    if (named.policy.has_value() && !named.reports) Fleet(named, 100, 10'000, 0.6);
  }
}
