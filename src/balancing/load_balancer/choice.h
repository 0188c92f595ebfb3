// Which of several endpoints gets the next request.
//
// Pure: candidates come in, an index goes out; the caller keeps the counts. Health, permits and
// what was tried before are settled by whoever lists the candidates.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/base/result.h"
#include "core/env/random.h"

namespace tepal::lb {

enum class ChoicePolicy {
  // Fewest requests in flight for its weight, all candidates looked at when there are at most
  // kFullScanMax, the better of two random ones otherwise (Mitzenmacher, "The power of two choices
  // in randomized load balancing"). Equals take turns, so an idle pool is shared evenly.
  kLeastOutstanding,
  // In proportion to the weights, whatever is in flight.
  kRoundRobin,
};

// "least_outstanding", "round_robin"; kInvalidArgument lists both.
Result<ChoicePolicy> ParseChoicePolicy(std::string_view text);

inline constexpr size_t kFullScanMax = 16;

struct Candidate {
  uint32_t weight = 1;
  uint32_t in_flight = 0;
  // How often it was chosen, divided by its weight; see TurnsOfNewcomer.
  double turns = 0;
};

// The index of the chosen one; `candidates` must not be empty.
size_t Choose(ChoicePolicy policy, std::span<const Candidate> candidates, env::Random& random);

// Where an endpoint that (re)joins begins to count: level with the one that has had fewest turns,
// or it would get every tie until it had caught up with all the time it was away.
double TurnsOfNewcomer(double own_turns, std::span<const Candidate> others);

}  // namespace tepal::lb
