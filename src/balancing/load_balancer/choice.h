// Which of several endpoints gets the next request.
//
// Pure: candidates come in, an index goes out; the caller keeps the counts. Health, permits and
// what was tried before are settled by whoever lists the candidates. The cost does not grow with
// the pool: above kFullScanMax candidates a policy looks at a few random ones (Mitzenmacher, "The
// power of two choices in randomized load balancing"), which also keeps many balancers from all
// choosing the same. Equals take turns, so an idle pool is shared evenly.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "balancing/load_balancer/service_estimate.h"
#include "core/base/result.h"
#include "core/env/random.h"

namespace tepal::lb {

enum class ChoicePolicy {
  kLeastOutstanding,  // Fewest requests in flight for its weight.
  kRoundRobin,        // In proportion to the weights, whatever is in flight.
  kPowerOfTwo,        // Fewest in flight of two random ones, in pools of any size.
  kLeastTime,         // Time until an answer, as it was of late, times requests in flight.
  kLeastWait,         // The answer is expected soonest: service_estimate.h. Heeds no weights.
  kHash,              // Where its key belongs: hash_ring.h. Here as kLeastOutstanding.
};

// "least_outstanding", "round_robin", …; kInvalidArgument lists them.
Result<ChoicePolicy> ParseChoicePolicy(std::string_view text);
inline constexpr std::string_view kChoicePolicies =
    "least_outstanding, round_robin, power_of_two, least_time, least_wait or hash";

inline constexpr size_t kFullScanMax = 16;
inline constexpr size_t kWaitSamples = 4;  // Of kLeastWait, above that.

struct Candidate {
  uint32_t weight = 1;
  uint32_t in_flight = 0;
  // How often it was chosen, divided by its weight; see TurnsOfNewcomer.
  double turns = 0;
  // Slow start: it counts for less until `ramp` after `ramp_from`.
  Duration ramp{};
  Instant ramp_from{};
  double latency = 0;  // Seconds until an answer, of late.
  ServiceEstimate service{};

  // Of its weight that counts now; above 0, at most 1.
  double Share(Instant now) const;
};

struct ChoiceContext {
  Instant now{};
  double usual = 0;  // See ServiceEstimate.
};

// The index of the chosen one; `candidates` must not be empty.
size_t Choose(ChoicePolicy policy, std::span<const Candidate> candidates, env::Random& random,
              const ChoiceContext& context = {});

// Where an endpoint that (re)joins begins to count: level with the one that has had fewest turns
// (of some, in a large pool), or it would get every tie until it had caught up with
// all the time it was away.
double TurnsOfNewcomer(double own_turns, std::span<const Candidate> others);

}  // namespace tepal::lb
