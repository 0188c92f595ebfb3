#include "partitioning/mig/planner.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <tuple>

namespace tepal::mig {

namespace {

// More instances than that no model has; what a driver says beyond is refused.
constexpr size_t kInstancesMax = 8;

std::vector<int> Sorted(std::vector<int> values) {
  std::sort(values.begin(), values.end());
  return values;
}

std::vector<int> ComputeOf(const WantedInstance& wanted) {
  return wanted.compute.empty() ? std::vector<int>{wanted.profile->compute_slices}
                                : Sorted(wanted.compute);
}

bool Serves(const Instance& instance, const WantedInstance& wanted) {
  return instance.placement.profile == wanted.profile &&
         (wanted.start < 0 || wanted.start == instance.placement.start) &&
         (instance.compute.empty() || Sorted(instance.compute) == ComputeOf(wanted));
}

// One for each of `missing`, beside what is there; empty when they do not fit.
Layout PlaceMissing(const GpuModel& model, const Layout& there, const WantedGpu& wanted,
                    const std::vector<size_t>& missing) {
  std::vector<const Profile*> profiles;
  Layout fixed, around = there;
  for (const size_t i : missing) {
    const WantedInstance& instance = wanted.instances[i];
    profiles.push_back(instance.profile);
    if (instance.start < 0) continue;
    fixed.push_back({instance.profile, instance.start});
    if (!Fits(model, around, fixed.back())) return {};
    around.push_back(fixed.back());
  }
  return fixed.empty() ? Place(model, there, profiles) : fixed;
}

// Which instances stay (bits of GpuState::instances), as what, and where the rest goes.
struct Choice {
  unsigned kept = 0;
  std::vector<std::pair<size_t, size_t>> matched = {};  // Instance, wanted.
  std::vector<size_t> missing = {};                     // Wanted.
  Layout placed = {};                                   // One for each missing.
  int computed = 0;  // Kept ones that have their compute instances.
  int room = 0;      // Of the layout that results.

  bool BetterThan(const Choice& other) const {
    return std::tuple(std::popcount(kept), computed, room) >
           std::tuple(std::popcount(other.kept), other.computed, other.room);
  }
};

class Chooser {
 public:
  Chooser(const GpuState& now, const WantedGpu& wanted) : now_(now), wanted_(wanted) {}

  // The choice for one set of instances; nothing when they are not all wanted, or the rest does not
  // fit beside them. Instances with compute instances are matched first: one without serves any.
  std::optional<Choice> Try(unsigned kept) const {
    Choice choice{.kept = kept};
    std::vector<bool> taken(wanted_.instances.size());
    for (const bool bare : {false, true}) {
      for (size_t i = 0; i < now_.instances.size(); ++i) {
        const Instance& instance = now_.instances[i];
        if ((kept >> i & 1) == 0 || instance.compute.empty() != bare) continue;
        size_t match = 0;
        while (match < taken.size() &&
               (taken[match] || !Serves(instance, wanted_.instances[match]))) {
          ++match;
        }
        if (match == taken.size()) return std::nullopt;
        taken[match] = true;
        choice.matched.emplace_back(i, match);
        choice.computed += bare ? 0 : 1;
      }
    }
    Layout there;
    for (const auto& [instance, _] : choice.matched) {
      there.push_back(now_.instances[instance].placement);
    }
    for (size_t i = 0; i < taken.size(); ++i) {
      if (!taken[i]) choice.missing.push_back(i);
    }
    choice.placed = PlaceMissing(*now_.model, there, wanted_, choice.missing);
    if (choice.placed.size() != choice.missing.size()) return std::nullopt;
    there.insert(there.end(), choice.placed.begin(), choice.placed.end());
    choice.room = Room(*now_.model, there);
    return choice;
  }

  // Of the sets that include `must` the largest; of those the one that keeps most compute
  // instances, then the one that leaves most room.
  std::optional<Choice> Best(unsigned must) const {
    std::optional<Choice> best;
    for (unsigned kept = 1U << now_.instances.size(); kept-- > 0;) {
      if ((kept & must) != must) continue;
      if (best && std::popcount(kept) < std::popcount(best->kept)) continue;
      std::optional<Choice> choice = Try(kept);
      if (choice && (!best || choice->BetterThan(*best))) best = std::move(choice);
    }
    return best;
  }

 private:
  const GpuState& now_;
  const WantedGpu& wanted_;
};

std::string Describe(const WantedGpu& wanted) {
  std::string text;
  for (const WantedInstance& instance : wanted.instances) {
    text += (text.empty() ? "" : ", ") + std::string(instance.profile->name);
  }
  return text;
}

Status Check(const GpuState& now, const WantedGpu& wanted) {
  if (now.instances.size() > kInstancesMax) {
    return InvalidArgument("a GPU with " + std::to_string(now.instances.size()) +
                           " instances; expected at most " + std::to_string(kInstancesMax));
  }
  if (!wanted.mig_enabled && !wanted.instances.empty()) {
    return InvalidArgument("instances are wanted (" + Describe(wanted) + ") with MIG disabled");
  }
  std::vector<const Profile*> profiles;
  for (const WantedInstance& instance : wanted.instances) {
    profiles.push_back(instance.profile);
    for (const int size : ComputeOf(instance)) {
      if (ComputeStarts(*instance.profile, size) == 0) {
        return InvalidArgument(std::string(instance.profile->name) +
                               " has no compute instance of " + std::to_string(size) + " slices");
      }
    }
    if (!ComputeFits(*instance.profile, ComputeOf(instance))) {
      return InvalidArgument("the compute instances wanted do not fit in one " +
                             std::string(instance.profile->name));
    }
  }
  std::vector<size_t> every(profiles.size());
  std::iota(every.begin(), every.end(), size_t{0});
  if (profiles.size() > kInstancesMax ||
      PlaceMissing(*now.model, {}, wanted, every).size() != profiles.size()) {
    return InvalidArgument("these do not fit on one " + std::string(now.model->name) + ": " +
                           Describe(wanted));
  }
  return {};
}

unsigned InUse(const GpuState& now) {
  unsigned in_use = 0;
  for (size_t i = 0; i < now.instances.size(); ++i) {
    if (now.instances[i].in_use) in_use |= 1U << i;
  }
  return in_use;
}

// The fewest instances in use that have to go, with `possible` saying whether it works without.
template <typename Possible>
Plan Blocked(const GpuState& now, std::string_view why, Possible possible) {
  const unsigned in_use = InUse(now);
  unsigned go = in_use;
  for (unsigned candidate = 0; candidate <= in_use; ++candidate) {
    if ((candidate & ~in_use) != 0 || std::popcount(candidate) >= std::popcount(go)) continue;
    if (possible(in_use & ~candidate)) go = candidate;
  }
  Plan plan;
  for (size_t i = 0; i < now.instances.size(); ++i) {
    if ((go >> i & 1) == 0) continue;
    const Instance& instance = now.instances[i];
    plan.blocked_by.push_back(instance.id);
    plan.reason += (plan.reason.empty() ? "" : ", ") + std::string("instance ") +
                   std::to_string(instance.id) + " (" + ToString(instance.placement) + ")";
  }
  plan.reason += " in use, and " + std::string(why);
  plan.blocked_by = Sorted(std::move(plan.blocked_by));
  return plan;
}

Step Destroy(const Instance& instance) {
  return {.kind = Step::Kind::kDestroy, .id = instance.id, .placement = instance.placement};
}

// From one mode to the other: nothing of the GPU stays.
Plan PlanMode(const GpuState& now, const WantedGpu& wanted) {
  if (InUse(now) != 0) {
    return Blocked(now, "MIG mode cannot be switched under it", [](unsigned) { return false; });
  }
  Plan plan;
  if (now.in_use) {
    plan.gpu_in_use = true;
    plan.reason = "the GPU is in use, and MIG mode cannot be switched under it";
    return plan;
  }
  for (const Instance& instance : now.instances) plan.steps.push_back(Destroy(instance));
  if (now.mig_pending == wanted.mig_enabled) {
    plan.steps.push_back({.kind = Step::Kind::kReset, .resets = true});
  } else {
    plan.steps.push_back({.kind = Step::Kind::kSetMode,
                          .mig_enabled = wanted.mig_enabled,
                          .resets = now.model->mode_needs_reset()});
  }
  GpuState empty = now;
  empty.instances.clear();
  const std::optional<Choice> choice = Chooser(empty, wanted).Best(0);
  for (size_t i = 0; i < choice->missing.size(); ++i) {
    plan.steps.push_back({.kind = Step::Kind::kCreate,
                          .placement = choice->placed[i],
                          .compute = ComputeOf(wanted.instances[choice->missing[i]])});
  }
  return plan;
}

Plan PlanInstances(const GpuState& now, const WantedGpu& wanted) {
  const Chooser chooser(now, wanted);
  const std::optional<Choice> choice = chooser.Best(InUse(now));
  if (!choice) {
    return Blocked(now, "what is wanted does not fit with it: " + Describe(wanted),
                   [&](unsigned must) { return chooser.Best(must).has_value(); });
  }
  Plan plan;
  for (size_t i = 0; i < now.instances.size(); ++i) {
    if ((choice->kept >> i & 1) != 0) {
      plan.kept.push_back(now.instances[i].id);
    } else {
      plan.steps.push_back(Destroy(now.instances[i]));
    }
  }
  plan.kept = Sorted(std::move(plan.kept));
  // A mode that waits for the next reset would undo all this: take it back.
  if (now.mig_pending != now.mig_enabled) {
    plan.steps.push_back({.kind = Step::Kind::kSetMode, .mig_enabled = now.mig_enabled});
  }
  for (const auto& [i, match] : choice->matched) {
    const Instance& instance = now.instances[i];
    if (!instance.compute.empty()) continue;
    plan.steps.push_back({.kind = Step::Kind::kAddCompute,
                          .id = instance.id,
                          .placement = instance.placement,
                          .compute = ComputeOf(wanted.instances[match])});
  }
  for (size_t i = 0; i < choice->missing.size(); ++i) {
    plan.steps.push_back({.kind = Step::Kind::kCreate,
                          .placement = choice->placed[i],
                          .compute = ComputeOf(wanted.instances[choice->missing[i]])});
  }
  return plan;
}

}  // namespace

Result<Plan> MakePlan(const GpuState& now, const WantedGpu& wanted) {
  RETURN_IF_ERROR(Check(now, wanted));
  if (now.mig_enabled != wanted.mig_enabled) return PlanMode(now, wanted);
  return PlanInstances(now, wanted);
}

std::string ToString(const Step& step) {
  std::string compute;
  for (const int slices : step.compute) {
    compute += (compute.empty() ? "" : ", ") + MigDeviceName(*step.placement.profile, slices);
  }
  switch (step.kind) {
    case Step::Kind::kDestroy:
      return "destroy instance " + std::to_string(step.id) + " (" + ToString(step.placement) + ")";
    case Step::Kind::kSetMode:
      return std::string(step.mig_enabled ? "enable" : "disable") + " MIG mode" +
             (step.resets ? ", which resets the GPU" : "");
    case Step::Kind::kReset:
      return "reset the GPU";
    case Step::Kind::kCreate:
      return "create " + ToString(step.placement) + " with " + compute;
    case Step::Kind::kAddCompute:
      return "add " + compute + " to instance " + std::to_string(step.id) + " (" +
             ToString(step.placement) + ")";
  }
  return "";
}

}  // namespace tepal::mig
