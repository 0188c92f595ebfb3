#include "sim/nvml/machine_driver.h"

#include <algorithm>
#include <string>

#include "core/base/text.h"

namespace tepal::nvml_sim {

namespace {

Status StatusOf(Return result, std::string_view method) {
  const auto error = [&](StatusCode code, std::string_view text) {
    return Status(code, Concat(method, ": ", text));
  };
  switch (result) {
    case kSuccess:
      return {};
    case kInUse:
      return error(StatusCode::kFailedPrecondition, "In use by another client");
    case kNotFound:
      return error(StatusCode::kNotFound, "Not Found");
    case kNotSupported:
      return error(StatusCode::kUnimplemented, "Not Supported");
    case kInvalidArgument:
      return error(StatusCode::kInvalidArgument, "Invalid Argument");
    case kInsufficientResources:
      return error(StatusCode::kResourceExhausted, "Insufficient Resources");
    default:
      return error(StatusCode::kInternal, Concat("NVML error ", static_cast<int>(result)));
  }
}

// Of one MIG device, or (-1) those outside of instances.
std::vector<mig::GpuProcess> ProcessesOf(const Machine& machine, int gpu, int instance,
                                         int compute) {
  std::vector<mig::GpuProcess> all;
  for (const SimProcess& process : machine.processes) {
    if (process.pid == 0 || process.gpu != gpu || process.gpu_instance != instance) continue;
    if (instance >= 0 && process.compute_instance != compute) continue;
    all.push_back({.pid = static_cast<int>(process.pid),
                   .name = {},
                   .memory_bytes = process.memory_mib << 20});
  }
  return all;
}

mig::GpuInstance DescribeInstance(const Machine& machine, int index, const SimInstance& instance) {
  const SimGpu& gpu = machine.gpus[index];
  const mig::Profile& profile = ProfileOf(gpu, instance);
  mig::GpuInstance described{instance.id, {&profile, instance.start}};
  for (const SimCompute& compute : instance.compute) {
    if (!compute.exists) continue;
    described.compute.push_back(
        {.id = compute.id,
         .slices = compute.slices,
         .uuid = compute.uuid,
         .memory_bytes = static_cast<uint64_t>(profile.memory_mib) << 20,
         .multiprocessors = mig::ComputeMultiprocessors(ModelOf(gpu), profile, compute.slices),
         .processes = ProcessesOf(machine, index, instance.id, compute.id)});
  }
  std::sort(described.compute.begin(), described.compute.end(),
            [](const auto& a, const auto& b) { return a.id < b.id; });
  return described;
}

}  // namespace

mig::Gpu Describe(const Machine& machine, int index) {
  const SimGpu& gpu = machine.gpus[index];
  const mig::GpuModel& model = ModelOf(gpu);
  mig::Gpu described{.index = index,
                     .uuid = gpu.uuid,
                     .name = std::string(model.name),
                     .bus_id = BusId(index),
                     .pci_device_id = model.pci_device_id,
                     .pci_subsystem_id = 0,
                     .minor = index,
                     .memory_bytes = static_cast<uint64_t>(model.memory_mib) << 20,
                     .cuda_major = CudaMajor(model),
                     .model = {std::shared_ptr<const void>(), &model},
                     .mig_enabled = gpu.enabled,
                     .mig_pending = gpu.pending,
                     .placements_known = true,
                     .processes = ProcessesOf(machine, index, -1, -1)};
  for (const SimInstance& instance : gpu.instances) {
    if (instance.exists) described.instances.push_back(DescribeInstance(machine, index, instance));
  }
  std::sort(described.instances.begin(), described.instances.end(),
            [](const auto& a, const auto& b) { return a.id < b.id; });
  return described;
}

std::string MachineDriver::Version() { return kDriverVersion; }

Result<std::vector<mig::Gpu>> MachineDriver::List() {
  std::vector<mig::Gpu> gpus;
  for (int i = 0; i < machine_.gpu_count; ++i) gpus.push_back(Describe(machine_, i));
  if (options_.root) return gpus;
  for (mig::Gpu& gpu : gpus) {
    gpu.placements_known = false;
    std::erase_if(gpu.instances, [](const auto& instance) { return instance.compute.empty(); });
    for (mig::GpuInstance& instance : gpu.instances) instance.placement.start = -1;
  }
  return gpus;
}

template <typename Work>
Status MachineDriver::Change(int gpu, std::string_view method, Work work) {
  if (gpu < 0 || gpu >= machine_.gpu_count) return StatusOf(kInvalidArgument, method);
  if (options_.before) RETURN_IF_ERROR(options_.before(method));
  if (!options_.root) {
    return {StatusCode::kPermissionDenied, Concat(method, ": Insufficient Permissions")};
  }
  RETURN_IF_ERROR(StatusOf(work(), method));
  if (options_.after) RETURN_IF_ERROR(options_.after(method));
  return {};
}

Result<mig::Driver::Mode> MachineDriver::SetMode(int gpu, bool enabled) {
  Return activation = kSuccess;
  RETURN_IF_ERROR(Change(gpu, "SetMode",
                         [&] { return nvml_sim::SetMode(machine_, gpu, enabled, activation); }));
  if (activation == kSuccess) return Mode::kActive;
  return activation == kInUse ? Mode::kInUse : Mode::kNeedsReset;
}

Status MachineDriver::Reset(int gpu) {
  return Change(gpu, "Reset", [&] { return ResetGpu(machine_, gpu); });
}

Result<int> MachineDriver::CreateInstance(int gpu, const mig::Placement& placement) {
  int id = -1;
  const Placement at = {static_cast<unsigned>(placement.start),
                        static_cast<unsigned>(placement.profile->memory_slices)};
  RETURN_IF_ERROR(Change(gpu, "CreateInstance", [&] {
    return nvml_sim::CreateInstance(machine_, gpu, placement.profile->driver_id, &at, id);
  }));
  return id;
}

Status MachineDriver::DestroyInstance(int gpu, int instance) {
  return Change(gpu, "DestroyInstance",
                [&] { return nvml_sim::DestroyInstance(machine_, gpu, instance); });
}

Result<int> MachineDriver::CreateCompute(int gpu, int instance, int slices) {
  int id = -1;
  RETURN_IF_ERROR(Change(gpu, "CreateCompute", [&] {
    return nvml_sim::CreateCompute(machine_, gpu, instance, slices, nullptr, id);
  }));
  return id;
}

Status MachineDriver::DestroyCompute(int gpu, int instance, int compute) {
  return Change(gpu, "DestroyCompute",
                [&] { return nvml_sim::DestroyCompute(machine_, gpu, instance, compute); });
}

Result<std::optional<mig::XidEvent>> MachineDriver::WaitForXid(Duration) {
  if (!next_event_) next_event_ = machine_.event_count;
  if (machine_.event_count > *next_event_ + kEventsKept) {
    next_event_ = machine_.event_count - kEventsKept;
  }
  if (*next_event_ == machine_.event_count) return std::optional<mig::XidEvent>();
  const SimEvent& event = machine_.events[(*next_event_)++ % kEventsKept];
  return std::optional(mig::XidEvent{.gpu = event.gpu,
                                     .gpu_instance = event.gpu_instance,
                                     .compute_instance = event.compute_instance,
                                     .xid = event.xid});
}

}  // namespace tepal::nvml_sim
