#include "balancing/load_balancer/choice.h"

#include <algorithm>
#include <limits>

#include "core/base/check.h"
#include "core/base/text.h"

namespace tepal::lb {

namespace {

constexpr double kShareMin = 0.05;
// Expectations this close are the same: the endpoints then take turns.
constexpr double kSameWait = 1.1;

struct ByTurns {
  bool operator()(const Candidate& a, const Candidate& b) const { return a.turns < b.turns; }
};

// Slow start: a turn counts for more until it is over, and who is ahead by that waits for the
// other.
bool HeldBack(const Candidate& c, double turns_of_other, Instant now) {
  return c.turns > turns_of_other && c.Share(now) < 1;
}

// By the load that each would have with this request.
struct ByOutstanding {
  Instant now;
  double Load(const Candidate& c) const { return (c.in_flight + 1.0) / c.weight; }
  bool operator()(const Candidate& a, const Candidate& b) const {
    if (HeldBack(a, b.turns, now)) return false;
    if (HeldBack(b, a.turns, now)) return true;
    const double load_a = Load(a);
    const double load_b = Load(b);
    return load_a != load_b ? load_a < load_b : a.turns < b.turns;
  }
};

struct ByTime {
  Instant now;
  bool operator()(const Candidate& a, const Candidate& b) const {
    if (HeldBack(a, b.turns, now)) return false;
    if (HeldBack(b, a.turns, now)) return true;
    const double time_a = a.latency * (a.in_flight + 1) / a.weight;
    const double time_b = b.latency * (b.in_flight + 1) / b.weight;
    return time_a != time_b ? time_a < time_b : a.turns < b.turns;
  }
};

struct ByWait {
  const ChoiceContext& context;
  double Wait(const Candidate& c) const {
    return c.service.Expect(c.in_flight, context.usual, context.now);
  }
};

template <typename Less>
size_t BetterOfTwo(std::span<const Candidate> candidates, env::Random& random, Less less) {
  if (candidates.size() == 1) return 0;
  const size_t first = random.Below(candidates.size());
  size_t second = random.Below(candidates.size() - 1);
  if (second >= first) ++second;
  return less(candidates[second], candidates[first]) ? second : first;
}

template <typename Less>
size_t Least(std::span<const Candidate> candidates, env::Random& random, Less less) {
  if (candidates.size() > kFullScanMax) return BetterOfTwo(candidates, random, less);
  return static_cast<size_t>(std::min_element(candidates.begin(), candidates.end(), less) -
                             candidates.begin());
}

size_t LeastWait(std::span<const Candidate> candidates, env::Random& random, const ByWait& by) {
  size_t looked_at[kFullScanMax];
  double waits[kFullScanMax];
  const bool all = candidates.size() <= kFullScanMax;
  const size_t count = all ? candidates.size() : kWaitSamples;
  double least = std::numeric_limits<double>::infinity();
  double fewest_turns = least;
  for (size_t i = 0; i < count; ++i) {
    looked_at[i] = all ? i : random.Below(candidates.size());
    fewest_turns = std::min(fewest_turns, candidates[looked_at[i]].turns);
  }
  for (size_t i = 0; i < count; ++i) {
    const Candidate& candidate = candidates[looked_at[i]];
    const bool held_back = HeldBack(candidate, fewest_turns, by.context.now);
    waits[i] = held_back ? std::numeric_limits<double>::infinity() : by.Wait(candidate);
    least = std::min(least, waits[i]);
  }
  size_t best = count;
  for (size_t i = 0; i < count; ++i) {
    if (waits[i] > least * kSameWait) continue;
    if (best == count || candidates[looked_at[i]].turns < candidates[looked_at[best]].turns) {
      best = i;
    }
  }
  return looked_at[best];
}

}  // namespace

double Candidate::Share(Instant now) const {
  if (ramp <= 0ns) return 1;
  return std::clamp(ToSeconds(now - ramp_from) / ToSeconds(ramp), kShareMin, 1.0);
}

Result<ChoicePolicy> ParseChoicePolicy(std::string_view text) {
  if (text == "least_outstanding") return ChoicePolicy::kLeastOutstanding;
  if (text == "round_robin") return ChoicePolicy::kRoundRobin;
  if (text == "power_of_two") return ChoicePolicy::kPowerOfTwo;
  if (text == "least_time") return ChoicePolicy::kLeastTime;
  if (text == "least_wait") return ChoicePolicy::kLeastWait;
  if (text == "hash") return ChoicePolicy::kHash;
  return InvalidArgument(Concat("policy is '", text, "', expected ", kChoicePolicies));
}

size_t Choose(ChoicePolicy policy, std::span<const Candidate> candidates, env::Random& random,
              const ChoiceContext& context) {
  TEPAL_CHECK(!candidates.empty());
  switch (policy) {
    case ChoicePolicy::kRoundRobin:
      // Fewest turns first, each turn counting 1 / weight, is round robin by weight, evenly
      // interleaved.
      return Least(candidates, random, ByTurns());
    case ChoicePolicy::kLeastOutstanding:
    case ChoicePolicy::kHash:
      return Least(candidates, random, ByOutstanding{context.now});
    case ChoicePolicy::kPowerOfTwo:
      return BetterOfTwo(candidates, random, ByOutstanding{context.now});
    case ChoicePolicy::kLeastTime:
      return Least(candidates, random, ByTime{context.now});
    case ChoicePolicy::kLeastWait:
      return LeastWait(candidates, random, ByWait{context});
  }
  return 0;
}

double TurnsOfNewcomer(double own_turns, std::span<const Candidate> others) {
  if (others.empty()) return own_turns;
  // Any few of a large pool: its turns are close to each other.
  const auto few = others.subspan(0, std::min(others.size(), kFullScanMax));
  return std::max(own_turns, std::min_element(few.begin(), few.end(), ByTurns())->turns);
}

}  // namespace tepal::lb
