#include "partitioning/mig/apply.h"

#include <algorithm>

#include "core/base/text.h"

namespace tepal::mig {

namespace {

// How often a GPU is planned anew because a step failed, or in all.
constexpr int kFailuresMax = 3;
constexpr int kRoundsMax = 8;

const Gpu* Find(const std::vector<Gpu>& gpus, int index) {
  const auto found =
      std::find_if(gpus.begin(), gpus.end(), [&](const Gpu& gpu) { return gpu.index == index; });
  return found == gpus.end() ? nullptr : &*found;
}

Result<const Gpu*> Usable(const std::vector<Gpu>& gpus, int index) {
  const Gpu* const gpu = Find(gpus, index);
  if (gpu == nullptr) return NotFound(Concat("GPU ", index, " is not there"));
  if (!gpu->problem.empty()) return Unavailable(Concat("GPU ", index, ": ", gpu->problem));
  return gpu;
}

bool ModeDiffers(const Gpu& gpu, const WantedGpu& wanted) {
  return gpu.mig_enabled != wanted.mig_enabled || gpu.mig_pending != wanted.mig_enabled;
}

// Instances as they are, where the mode stays.
WantedGpu ModeOnly(const Gpu& gpu, const WantedGpu& wanted) {
  WantedGpu mode{.mig_enabled = wanted.mig_enabled};
  if (!wanted.mig_enabled || !gpu.mig_enabled) return mode;
  for (const GpuInstance& instance : gpu.instances) {
    WantedInstance same{.profile = instance.placement.profile, .start = instance.placement.start};
    for (const ComputeInstance& compute : instance.compute) same.compute.push_back(compute.slices);
    mode.instances.push_back(std::move(same));
  }
  return mode;
}

std::string Describe(const GpuProcess& process) {
  return Concat("process ", process.pid, process.name.empty() ? "" : " (", process.name,
                process.name.empty() ? "" : ")");
}

void Describe(const std::vector<GpuProcess>& processes, std::string_view where, std::string& text) {
  for (const GpuProcess& process : processes) {
    text += Concat("; ", Describe(process), " runs on ", where);
  }
}

// Whether looking and planning again may help.
bool WorldChanged(StatusCode code) {
  return code == StatusCode::kFailedPrecondition || code == StatusCode::kNotFound ||
         code == StatusCode::kResourceExhausted || code == StatusCode::kInvalidArgument ||
         code == StatusCode::kInternal;
}

class Applier {
 public:
  Applier(Driver& driver, const Wanted& wanted, ApplyOptions options)
      : driver_(driver), wanted_(wanted), options_(std::move(options)) {}

  Result<Applied> Run() {
    RETURN_IF_ERROR(Hook(HookPoint::kApplyStart));
    const Status done = Work();
    const Status left = Hook(HookPoint::kApplyExit);
    RETURN_IF_ERROR(Status(done));
    RETURN_IF_ERROR(Status(left));
    return std::move(applied_);
  }

 private:
  Status Hook(HookPoint point) {
    if (!options_.hook) return {};
    return options_.hook(point).WithContext(Concat("hook ", HookPointName(point)));
  }

  Status Work() {
    RETURN_IF_ERROR(Look());
    bool mode_differs = false, other = false;
    for (const auto& [index, wanted] : wanted_) {
      ASSIGN_OR_RETURN(const Gpu* gpu, Usable(gpus_, index));
      ASSIGN_OR_RETURN(const Plan plan, PlanOf(*gpu, wanted));
      mode_differs |= gpu->model != nullptr && ModeDiffers(*gpu, wanted);
      other |= plan.blocked() || !plan.steps.empty();
    }
    if (!mode_differs && !other) return {};
    if (mode_differs) {
      RETURN_IF_ERROR(Hook(HookPoint::kPreApplyMode));
      RETURN_IF_ERROR(Look());
    }
    RETURN_IF_ERROR(RefuseWhatIsBlocked(options_.config_hook));
    if (options_.begin) RETURN_IF_ERROR(options_.begin(gpus_));
    if (mode_differs) RETURN_IF_ERROR(SwitchModes());
    return options_.mode_only ? Status() : Partition();
  }

  Status Look() {
    ASSIGN_OR_RETURN(gpus_, driver_.List());
    return {};
  }

  Result<Plan> PlanOf(const Gpu& gpu, const WantedGpu& wanted) const {
    return PlanGpu(gpu, wanted, options_);
  }

  Status RefuseWhatIsBlocked(bool modes_alone) {
    std::string reasons;
    for (const auto& [index, wanted] : wanted_) {
      ASSIGN_OR_RETURN(const Gpu* gpu, Usable(gpus_, index));
      if (modes_alone && !ModeDiffers(*gpu, wanted)) continue;
      ASSIGN_OR_RETURN(const Plan plan, PlanOf(*gpu, wanted));
      if (plan.blocked()) reasons += (reasons.empty() ? "" : "\n") + Refusal(*gpu, plan);
    }
    return reasons.empty() ? Status() : FailedPrecondition(std::move(reasons));
  }

  Status SwitchModes() {
    for (const auto& [index, wanted] : wanted_) {
      ASSIGN_OR_RETURN(const Gpu* gpu, Usable(gpus_, index));
      if (gpu->model == nullptr || !ModeDiffers(*gpu, wanted)) continue;
      RETURN_IF_ERROR(Reach(index, true));
    }
    return {};
  }

  Status Partition() {
    RETURN_IF_ERROR(Look());
    bool differs = false;
    for (const auto& [index, wanted] : wanted_) {
      if (applied_.wait_for_reset.contains(index)) continue;
      ASSIGN_OR_RETURN(const Gpu* gpu, Usable(gpus_, index));
      ASSIGN_OR_RETURN(const Plan plan, PlanOf(*gpu, wanted));
      differs |= plan.blocked() || !plan.steps.empty();
    }
    if (!differs) return {};
    RETURN_IF_ERROR(Hook(HookPoint::kPreApplyConfig));
    RETURN_IF_ERROR(Look());
    RETURN_IF_ERROR(RefuseWhatIsBlocked(false));
    for (const auto& [index, wanted] : wanted_) {
      if (!applied_.wait_for_reset.contains(index)) RETURN_IF_ERROR(Reach(index, false));
    }
    return {};
  }

  // Plans and does until the GPU is as wanted, or nothing more can be done.
  Status Reach(int index, bool mode_alone) {
    Status failed;
    for (int round = 0, failures = 0; round < kRoundsMax; ++round) {
      RETURN_IF_ERROR(Look());
      ASSIGN_OR_RETURN(const Gpu* gpu, Usable(gpus_, index));
      const WantedGpu& all = wanted_.at(index);
      ASSIGN_OR_RETURN(const Plan plan, PlanOf(*gpu, mode_alone ? ModeOnly(*gpu, all) : all));
      if (plan.blocked()) return FailedPrecondition(Refusal(*gpu, plan));
      if (plan.steps.empty()) return {};
      failed = DoAll(*gpu, plan);
      if (applied_.wait_for_reset.contains(index)) return {};
      if (failed.ok()) continue;
      if (!WorldChanged(failed.code()) || ++failures == kFailuresMax) return failed;
    }
    return failed.ok() ? Internal(Concat("GPU ", index, ": others keep changing it")) : failed;
  }

  Status DoAll(const Gpu& gpu, const Plan& plan) {
    for (const Step& step : plan.steps) {
      if (options_.tell) options_.tell(gpu.index, step);
      RETURN_IF_ERROR(Do(gpu, step).WithContext(Concat("GPU ", gpu.index, ": ", ToString(step))));
      if (applied_.wait_for_reset.contains(gpu.index)) return {};
      applied_.steps.emplace_back(gpu.index, step);
    }
    return {};
  }

  Status Do(const Gpu& gpu, const Step& step) {
    switch (step.kind) {
      case Step::Kind::kDestroy:
        return Destroy(gpu, step.id);
      case Step::Kind::kSetMode:
        return SetMode(gpu, step.mig_enabled);
      case Step::Kind::kReset:
        return Reset(gpu, Driver::Mode::kInUse);
      case Step::Kind::kCreate: {
        ASSIGN_OR_RETURN(const int id, driver_.CreateInstance(gpu.index, step.placement));
        return AddCompute(gpu, id, step.compute);
      }
      case Step::Kind::kAddCompute:
        return AddCompute(gpu, step.id, step.compute);
    }
    return {};
  }

  Status Destroy(const Gpu& gpu, int id) {
    for (const GpuInstance& instance : gpu.instances) {
      if (instance.id != id) continue;
      for (const ComputeInstance& compute : instance.compute) {
        RETURN_IF_ERROR(driver_.DestroyCompute(gpu.index, id, compute.id));
      }
    }
    return driver_.DestroyInstance(gpu.index, id);
  }

  // Large ones first: they have fewer places.
  Status AddCompute(const Gpu& gpu, int instance, std::vector<int> compute) {
    std::sort(compute.begin(), compute.end(), std::greater<>());
    for (const int slices : compute) {
      RETURN_IF_ERROR(driver_.CreateCompute(gpu.index, instance, slices).status());
    }
    return {};
  }

  Status SetMode(const Gpu& gpu, bool enabled) {
    ASSIGN_OR_RETURN(const Driver::Mode became, driver_.SetMode(gpu.index, enabled));
    return became == Driver::Mode::kActive ? Status() : Reset(gpu, became);
  }

  // A GPU that cannot be reset here waits for a reboot; one that is open somewhere is an error.
  Status Reset(const Gpu& gpu, Driver::Mode why) {
    if (options_.skip_reset) {
      applied_.wait_for_reset.insert(gpu.index);
      return {};
    }
    Status status = driver_.Reset(gpu.index);
    if (status.ok() || status.code() == StatusCode::kCancelled) return status;
    if (why == Driver::Mode::kNeedsReset || status.code() == StatusCode::kUnimplemented) {
      applied_.wait_for_reset.insert(gpu.index);
      return {};
    }
    return std::move(status).WithContext(
        "the mode is set and waits for a reset, which somebody who has the GPU open prevents");
  }

  Driver& driver_;
  const Wanted& wanted_;
  ApplyOptions options_;
  std::vector<Gpu> gpus_;
  Applied applied_;
};

}  // namespace

std::string Refusal(const Gpu& gpu, const Plan& plan) {
  std::string text = Concat("GPU ", gpu.index, ": ", plan.reason);
  if (plan.gpu_in_use) Describe(gpu.processes, "it", text);
  for (const GpuInstance& instance : gpu.instances) {
    if (std::find(plan.blocked_by.begin(), plan.blocked_by.end(), instance.id) ==
        plan.blocked_by.end()) {
      continue;
    }
    for (const ComputeInstance& compute : instance.compute) {
      Describe(compute.processes, compute.uuid, text);
    }
  }
  return text;
}

Result<Plan> PlanGpu(const Gpu& gpu, const WantedGpu& wanted, const ApplyOptions& options) {
  const std::string context = Concat("GPU ", gpu.index);
  if (gpu.model == nullptr) {
    if (!wanted.mig_enabled) return Plan{};
    return InvalidArgument(Concat(context, ": ", gpu.name, " cannot be partitioned"));
  }
  if (gpu.mig_enabled && !gpu.placements_known) {
    return Status(StatusCode::kPermissionDenied,
                  Concat(context, ": only root may know where its instances lie"));
  }
  const GpuState state = StateOf(gpu, options.held);
  if (options.mode_only) return MakePlan(state, ModeOnly(gpu, wanted)).WithContext(context);
  return MakePlan(state, wanted).WithContext(context);
}

Result<std::vector<std::string>> Differences(const std::vector<Gpu>& gpus, const Wanted& wanted,
                                             bool mode_only) {
  std::vector<std::string> differences;
  ApplyOptions options;
  options.mode_only = mode_only;
  for (const auto& [index, want] : wanted) {
    ASSIGN_OR_RETURN(const Gpu* gpu, Usable(gpus, index));
    ASSIGN_OR_RETURN(const Plan plan, PlanGpu(*gpu, want, options));
    if (plan.blocked()) differences.push_back(Refusal(*gpu, plan));
    for (const Step& step : plan.steps) {
      differences.push_back(Concat("GPU ", index, ": ", ToString(step)));
    }
  }
  return differences;
}

Result<Applied> Apply(Driver& driver, const Wanted& wanted, ApplyOptions options) {
  return Applier(driver, wanted, std::move(options)).Run();
}

}  // namespace tepal::mig
