#include "balancing/load_balancer/choice.h"

#include <algorithm>
#include <limits>

#include "core/base/check.h"
#include "core/base/text.h"

namespace tepal::lb {

namespace {

bool FewerTurns(const Candidate& a, const Candidate& b) { return a.turns < b.turns; }

// By the load that each would have with this request, cross-multiplied to stay exact.
bool LessLoaded(const Candidate& a, const Candidate& b) {
  const uint64_t load_a = (uint64_t{a.in_flight} + 1) * b.weight;
  const uint64_t load_b = (uint64_t{b.in_flight} + 1) * a.weight;
  if (load_a != load_b) return load_a < load_b;
  return FewerTurns(a, b);
}

size_t BetterOfTwo(std::span<const Candidate> candidates, env::Random& random) {
  const size_t first = random.Below(candidates.size());
  size_t second = random.Below(candidates.size() - 1);
  if (second >= first) ++second;
  return LessLoaded(candidates[second], candidates[first]) ? second : first;
}

template <typename Less>
size_t Least(std::span<const Candidate> candidates, Less less) {
  return static_cast<size_t>(std::min_element(candidates.begin(), candidates.end(), less) -
                             candidates.begin());
}

}  // namespace

Result<ChoicePolicy> ParseChoicePolicy(std::string_view text) {
  if (text == "least_outstanding") return ChoicePolicy::kLeastOutstanding;
  if (text == "round_robin") return ChoicePolicy::kRoundRobin;
  return InvalidArgument(
      Concat("policy is '", text, "', expected least_outstanding or round_robin"));
}

size_t Choose(ChoicePolicy policy, std::span<const Candidate> candidates, env::Random& random) {
  TEPAL_CHECK(!candidates.empty());
  // Fewest turns first, each turn counting 1 / weight, is round robin by weight, evenly
  // interleaved.
  if (policy == ChoicePolicy::kRoundRobin) return Least(candidates, FewerTurns);
  if (candidates.size() > kFullScanMax) return BetterOfTwo(candidates, random);
  return Least(candidates, LessLoaded);
}

double TurnsOfNewcomer(double own_turns, std::span<const Candidate> others) {
  if (others.empty()) return own_turns;
  return std::max(own_turns, others[Least(others, FewerTurns)].turns);
}

}  // namespace tepal::lb
