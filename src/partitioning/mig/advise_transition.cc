// From the partitioning that is to the one advised.

#include <algorithm>
#include <numeric>
#include <optional>
#include <tuple>

#include "core/base/check.h"
#include "partitioning/mig/advise.h"

namespace tepal::mig {
namespace {

using Cost = std::tuple<int, int, int, int>;  // Blocked, destroyed, resets, steps.

Cost CostOf(const Plan& plan) {
  int destroyed = 0;
  int resets = 0;
  for (const Step& step : plan.steps) {
    destroyed += step.kind == Step::Kind::kDestroy ? 1 : 0;
    resets += step.kind == Step::Kind::kReset || step.resets ? 1 : 0;
  }
  return {plan.blocked() ? 1 : 0, destroyed, resets, static_cast<int>(plan.steps.size())};
}

Cost Sum(const Cost& a, const Cost& b) {
  return {std::get<0>(a) + std::get<0>(b), std::get<1>(a) + std::get<1>(b),
          std::get<2>(a) + std::get<2>(b), std::get<3>(a) + std::get<3>(b)};
}

}  // namespace

Result<std::vector<Transition>> PlanAdvice(std::span<const GpuState> now,
                                           std::span<const AdvisedGpu> advised) {
  TEPAL_CHECK(now.size() >= advised.size());
  // plans[advised][gpu]
  std::vector<std::vector<Plan>> plans;
  for (const AdvisedGpu& gpu : advised) {
    WantedGpu wanted{.mig_enabled = true};
    for (const AdvisedReplica& replica : gpu) {
      wanted.instances.push_back({.profile = replica.placement.profile});
    }
    plans.emplace_back();
    for (const GpuState& state : now) {
      // Profiles are the state's own.
      WantedGpu here = wanted;
      for (WantedInstance& instance : here.instances) {
        instance.profile = FindProfile(*state.model, instance.profile->name);
        if (instance.profile == nullptr) {
          return InvalidArgument("the GPUs that are there are of different models");
        }
      }
      ASSIGN_OR_RETURN(Plan plan, MakePlan(state, here));
      plans.back().push_back(std::move(plan));
    }
  }
  // home[gpu]: which advised one it gets, or none. Swapped two by two as long as that is cheaper.
  std::vector<std::optional<size_t>> home(now.size());
  for (size_t a = 0; a < advised.size(); ++a) home[a] = a;
  const auto cost = [&](std::optional<size_t> which, size_t gpu) {
    return which.has_value() ? CostOf(plans[*which][gpu]) : Cost();
  };
  for (bool better = true; better;) {
    better = false;
    for (size_t a = 0; a < now.size(); ++a) {
      for (size_t b = a + 1; b < now.size(); ++b) {
        if (Sum(cost(home[a], b), cost(home[b], a)) >= Sum(cost(home[a], a), cost(home[b], b))) {
          continue;
        }
        std::swap(home[a], home[b]);
        better = true;
      }
    }
  }
  std::vector<Transition> transitions;
  for (size_t gpu = 0; gpu < now.size(); ++gpu) {
    if (!home[gpu].has_value()) continue;
    transitions.push_back({*home[gpu], gpu, std::move(plans[*home[gpu]][gpu])});
  }
  return transitions;
}

}  // namespace tepal::mig
