#include "partitioning/mig/nvml_gpu.h"

#include <algorithm>

#include "core/base/text.h"
#include "partitioning/mig/nvml_call.h"
#include "partitioning/mig/nvml_model.h"

namespace tepal::mig {

namespace nvml = gpu::nvml;

namespace {

constexpr unsigned kInstancesMax = 32;
constexpr std::string_view kMigInName = " MIG ";

template <typename Items>
auto FindId(Items& items, int id) {
  return std::find_if(items.begin(), items.end(), [&](const auto& item) { return item.id == id; });
}

template <typename Items>
void SortById(Items& items) {
  std::sort(items.begin(), items.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
}

class Reader {
 public:
  Reader(const gpu::NvmlMigApi& api, nvml::Device device, Gpu& gpu)
      : api_(api), device_(device), gpu_(gpu) {}

  bool mig_capable() const { return mig_capable_; }

  // Everything but what it can be cut into, and the instances.
  Status ReadFacts() {
    gpu_.uuid = NvmlText(api_.GetUuid, device_);
    gpu_.name = NvmlText(api_.GetName, device_);
    nvml::PciInfo pci = {};
    RETURN_IF_ERROR(Check(api_.GetPciInfo(device_, &pci), "nvmlDeviceGetPciInfo"));
    gpu_.bus_id = pci.bus_id;
    gpu_.pci_device_id = pci.device_id;
    gpu_.pci_subsystem_id = pci.subsystem_id;
    unsigned minor = 0;
    if (api_.GetMinor(device_, &minor) == nvml::kSuccess) gpu_.minor = static_cast<int>(minor);
    nvml::Memory memory = {};
    if (api_.GetMemory(device_, &memory) == nvml::kSuccess) gpu_.memory_bytes = memory.total;
    api_.GetComputeCapability(device_, &gpu_.cuda_major, &gpu_.cuda_minor);
    unsigned current = 0, pending = 0;
    const int mode = api_.GetMigMode(device_, &current, &pending);
    if (mode == nvml::kNotSupported) return {};
    RETURN_IF_ERROR(Check(mode, "nvmlDeviceGetMigMode"));
    mig_capable_ = true;
    gpu_.mig_enabled = current == 1;
    gpu_.mig_pending = pending == 1;
    return {};
  }

  void FindModel(Models& models) {
    KnownModel& known = models[gpu_.uuid];
    if (known.model == nullptr) {
      known.model = ReadModel(api_, device_, gpu_, known.placements_known);
    }
    gpu_.model = known.model;
    gpu_.placements_known = known.placements_known;
  }

  Status ReadInstances() {
    if (gpu_.mig_enabled && gpu_.model != nullptr) {
      if (gpu_.placements_known) RETURN_IF_ERROR(ReadAsRootIfAllowed());
      ReadMigDevices();
    }
    ReadProcesses();
    SortById(gpu_.instances);
    for (GpuInstance& instance : gpu_.instances) SortById(instance.compute);
    return {};
  }

 private:
  Status Check(int result, std::string_view function) const {
    return NvmlStatus(api_, result, function);
  }

  Status ReadAsRootIfAllowed() {
    const Status status = ReadAsRoot();
    if (status.code() != StatusCode::kPermissionDenied) return status;
    gpu_.instances.clear();
    gpu_.placements_known = false;
    return {};
  }

  // With where they lie, and those without a compute instance.
  Status ReadAsRoot() {
    for (const Profile& profile : gpu_.model->profiles) {
      nvml::GpuInstance handles[kInstancesMax] = {};
      unsigned count = kInstancesMax;
      const int result =
          api_.GetGpuInstances(device_, static_cast<unsigned>(profile.driver_id), handles, &count);
      RETURN_IF_ERROR(Check(result, "nvmlDeviceGetGpuInstances"));
      for (unsigned i = 0; i < std::min(count, kInstancesMax); ++i) {
        nvml::GpuInstanceInfo info = {};
        const int got = api_.GetGpuInstanceInfo(handles[i], &info);
        if (got == nvml::kNotFound) continue;  // Gone since.
        RETURN_IF_ERROR(Check(got, "nvmlGpuInstanceGetInfo"));
        gpu_.instances.push_back(
            {static_cast<int>(info.id), {&profile, static_cast<int>(info.placement.start)}});
        RETURN_IF_ERROR(ReadCompute(handles[i], gpu_.instances.back()));
      }
    }
    return {};
  }

  Status ReadCompute(nvml::GpuInstance handle, GpuInstance& instance) {
    for (unsigned number = 0; number < nvml::kComputeProfileCount; ++number) {
      nvml::ComputeInstanceProfileInfo profile = {};
      if (api_.GetComputeProfile(handle, number, 0, &profile) != nvml::kSuccess) continue;
      nvml::ComputeInstance computes[kInstancesMax] = {};
      unsigned count = kInstancesMax;
      const int result = api_.GetComputeInstances(handle, profile.id, computes, &count);
      RETURN_IF_ERROR(Check(result, "nvmlGpuInstanceGetComputeInstances"));
      for (unsigned i = 0; i < std::min(count, kInstancesMax); ++i) {
        nvml::ComputeInstanceInfo info = {};
        const int got = api_.GetComputeInstanceInfo(computes[i], &info);
        if (got == nvml::kNotFound) continue;
        RETURN_IF_ERROR(Check(got, "nvmlComputeInstanceGetInfo"));
        const auto id = static_cast<int>(info.id);
        if (FindId(instance.compute, id) != instance.compute.end()) continue;
        instance.compute.push_back({.id = id, .slices = static_cast<int>(profile.slices)});
      }
    }
    return {};
  }

  // The instance a MIG device lies in: known already, or, for who is no root, as the device tells.
  GpuInstance* InstanceOf(nvml::Device mig_device, int id) {
    auto found = FindId(gpu_.instances, id);
    if (found != gpu_.instances.end()) return &*found;
    if (gpu_.placements_known) return nullptr;  // Made since.
    const std::string name = NvmlText(api_.GetName, mig_device);
    const size_t at = name.rfind(kMigInName);
    if (at == std::string::npos) return nullptr;
    std::string_view profile = std::string_view(name).substr(at + kMigInName.size());
    if (const size_t part = profile.find("c."); part < profile.find("g.")) {
      profile.remove_prefix(part + 2);
    }
    const Profile* const of = FindProfile(*gpu_.model, profile);
    if (of == nullptr) return nullptr;
    gpu_.instances.push_back({id, {of, -1}});
    return &gpu_.instances.back();
  }

  void ReadMigDevices() {
    unsigned most = 0;
    if (api_.GetMigDeviceCountMax(device_, &most) != nvml::kSuccess) return;
    for (unsigned i = 0; i < std::min(most, kInstancesMax); ++i) {
      nvml::Device mig_device = nullptr;
      if (api_.GetMigDevice(device_, i, &mig_device) != nvml::kSuccess) continue;
      unsigned instance_id = 0, compute_id = 0;
      if (api_.GetGpuInstanceId(mig_device, &instance_id) != nvml::kSuccess) continue;
      if (api_.GetComputeInstanceId(mig_device, &compute_id) != nvml::kSuccess) continue;
      GpuInstance* const instance = InstanceOf(mig_device, static_cast<int>(instance_id));
      if (instance != nullptr) ReadMigDevice(mig_device, *instance, static_cast<int>(compute_id));
    }
  }

  void ReadMigDevice(nvml::Device mig_device, GpuInstance& instance, int id) {
    auto found = FindId(instance.compute, id);
    if (found == instance.compute.end()) {
      if (gpu_.placements_known) return;
      found = instance.compute.insert(found, {.id = id});
    }
    found->uuid = NvmlText(api_.GetUuid, mig_device);
    nvml::Attributes attributes = {};
    if (api_.GetAttributes(mig_device, &attributes) == nvml::kSuccess) {
      found->slices = static_cast<int>(attributes.compute_slices);
      found->multiprocessors = static_cast<int>(attributes.multiprocessors);
      found->memory_bytes = attributes.memory_mib << 20;
    }
    for (const nvml::ProcessInfo& process : NvmlProcesses(api_, mig_device)) {
      Add(process, found->processes);
    }
  }

  // Of the whole GPU, those outside of instances; those inside may be in there already.
  void ReadProcesses() {
    for (const nvml::ProcessInfo& process : NvmlProcesses(api_, device_)) {
      if (process.gpu_instance == nvml::kNoInstance) {
        Add(process, gpu_.processes);
        continue;
      }
      const auto instance = FindId(gpu_.instances, static_cast<int>(process.gpu_instance));
      if (instance == gpu_.instances.end()) continue;
      const auto compute = FindId(instance->compute, static_cast<int>(process.compute_instance));
      if (compute != instance->compute.end()) Add(process, compute->processes);
    }
  }

  void Add(const nvml::ProcessInfo& process, std::vector<GpuProcess>& to) const {
    const auto pid = static_cast<int>(process.pid);
    for (const GpuProcess& there : to) {
      if (there.pid == pid) return;
    }
    char name[256] = {};
    if (api_.GetProcessName(process.pid, name, sizeof(name)) != nvml::kSuccess) name[0] = '\0';
    name[sizeof(name) - 1] = '\0';
    // The driver says "not available" with all bits set.
    const bool known = process.memory != ~0ULL;
    to.push_back({.pid = pid, .name = name, .memory_bytes = known ? process.memory : 0});
  }

  const gpu::NvmlMigApi& api_;
  const nvml::Device device_;
  Gpu& gpu_;
  bool mig_capable_ = false;
};

}  // namespace

Gpu ReadGpu(const gpu::NvmlMigApi& api, int index, Models& models) {
  Gpu gpu{.index = index};
  nvml::Device device = nullptr;
  const int got = api.GetHandleByIndex(static_cast<unsigned>(index), &device);
  Status status = NvmlStatus(api, got, "nvmlDeviceGetHandleByIndex");
  if (status.ok()) {
    Reader reader(api, device, gpu);
    status = reader.ReadFacts();
    if (status.ok() && reader.mig_capable()) reader.FindModel(models);
    if (status.ok()) status = reader.ReadInstances();
  }
  gpu.problem = status.message();
  return gpu;
}

}  // namespace tepal::mig
