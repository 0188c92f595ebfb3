#include "partitioning/mig/nvml_driver.h"

#include <algorithm>
#include <map>

#include "core/base/text.h"
#include "partitioning/mig/nvml_call.h"
#include "partitioning/mig/nvml_gpu.h"

namespace tepal::mig {

namespace nvml = gpu::nvml;

namespace {

// The longest single wait for an event: who asks for longer asks again.
constexpr Duration kWaitMax = std::chrono::hours(1);

int ToInt(unsigned value) { return value == nvml::kNoInstance ? -1 : static_cast<int>(value); }

// The Xid events of all GPUs. Owned by the thread that waits.
class XidEvents {
 public:
  explicit XidEvents(const gpu::NvmlMigApi& api) : api_(api) {}
  ~XidEvents() {
    if (set_ != nullptr) api_.FreeEventSet(set_);
  }
  XidEvents(const XidEvents&) = delete;
  XidEvents& operator=(const XidEvents&) = delete;

  Result<std::optional<XidEvent>> Wait(Duration timeout) {
    if (set_ == nullptr) RETURN_IF_ERROR(Register());
    const auto milliseconds =
        std::chrono::ceil<std::chrono::milliseconds>(std::min(timeout, kWaitMax)).count();
    nvml::EventData event = {};
    const int result = api_.WaitForEvent(set_, &event, static_cast<unsigned>(milliseconds));
    if (result == nvml::kTimeout) return std::optional<XidEvent>();
    if (result != nvml::kSuccess) return Forget(result);
    const auto gpu = gpus_.find(NvmlText(api_.GetUuid, event.device));
    return std::optional(XidEvent{.gpu = gpu == gpus_.end() ? -1 : gpu->second,
                                  .gpu_instance = ToInt(event.gpu_instance),
                                  .compute_instance = ToInt(event.compute_instance),
                                  .xid = event.data});
  }

 private:
  Status Register() {
    RETURN_IF_ERROR(NvmlStatus(api_, api_.CreateEventSet(&set_), "nvmlEventSetCreate"));
    unsigned count = 0;
    RETURN_IF_ERROR(NvmlStatus(api_, api_.GetCount(&count), "nvmlDeviceGetCount"));
    for (unsigned i = 0; i < count; ++i) {
      nvml::Device device = nullptr;
      unsigned long long types = 0;
      if (api_.GetHandleByIndex(i, &device) != nvml::kSuccess) continue;
      if (api_.GetSupportedEvents(device, &types) != nvml::kSuccess) continue;
      if ((types & nvml::kEventXid) == 0) continue;
      if (api_.RegisterEvents(device, nvml::kEventXid, set_) != nvml::kSuccess) continue;
      gpus_[NvmlText(api_.GetUuid, device)] = static_cast<int>(i);
    }
    if (!gpus_.empty()) return {};
    api_.FreeEventSet(set_);
    set_ = nullptr;
    return Unimplemented("no GPU tells of Xid events");
  }

  // After a reset the next call registers anew.
  Status Forget(int result) {
    api_.FreeEventSet(set_);
    set_ = nullptr;
    gpus_.clear();
    return NvmlStatus(api_, result, "nvmlEventSetWait");
  }

  const gpu::NvmlMigApi& api_;
  nvml::EventSet set_ = nullptr;
  std::map<std::string, int> gpus_;  // By UUID.
};

class NvmlDriver final : public Driver {
 public:
  NvmlDriver(std::unique_ptr<gpu::NvmlMigApi> api, NvmlOptions options)
      : api_(std::move(api)), options_(std::move(options)), events_(*api_) {}
  ~NvmlDriver() override = default;  // NVML stays open: the library is never unloaded.

  std::string Version() override {
    char text[80] = {};
    return api_->GetDriverVersion(text, sizeof(text)) == nvml::kSuccess ? text : "";
  }

  Result<std::vector<Gpu>> List() override {
    unsigned count = 0;
    RETURN_IF_ERROR(Check(api_->GetCount(&count), "nvmlDeviceGetCount"));
    std::vector<Gpu> gpus;
    for (unsigned i = 0; i < count; ++i)
      gpus.push_back(ReadGpu(*api_, static_cast<int>(i), models_));
    return gpus;
  }

  Result<Mode> SetMode(int gpu, bool enabled) override {
    ASSIGN_OR_RETURN(const nvml::Device device, DeviceOf(gpu));
    int activation = nvml::kSuccess;
    RETURN_IF_ERROR(
        Check(api_->SetMigMode(device, enabled ? 1 : 0, &activation), "nvmlDeviceSetMigMode"));
    if (activation == nvml::kSuccess) return Mode::kActive;
    if (activation == nvml::kInUse) return Mode::kInUse;
    if (activation == nvml::kResetRequired) return Mode::kNeedsReset;
    return Check(activation, "nvmlDeviceSetMigMode: switching");
  }

  Status Reset(int gpu) override {
    ASSIGN_OR_RETURN(const nvml::Device device, DeviceOf(gpu));
    nvml::PciInfo pci = {};
    RETURN_IF_ERROR(Check(api_->GetPciInfo(device, &pci), "nvmlDeviceGetPciInfo"));
    if (!options_.reset) return Unimplemented("there is no program that resets a GPU");
    // A GPU cannot be reset under whoever has it open, and the library is one who has.
    api_->Shutdown();
    Status status = options_.reset(pci.bus_id);
    const Status again = Check(api_->Init(), "nvmlInit");
    return status.ok() ? again : status;
  }

  Result<int> CreateInstance(int gpu, const Placement& placement) override {
    ASSIGN_OR_RETURN(const nvml::Device device, DeviceOf(gpu));
    const nvml::Placement at = {static_cast<unsigned>(placement.start),
                                static_cast<unsigned>(placement.profile->memory_slices)};
    nvml::GpuInstance created = nullptr;
    RETURN_IF_ERROR(
        Check(api_->CreateGpuInstance(device, static_cast<unsigned>(placement.profile->driver_id),
                                      &at, &created),
              "nvmlDeviceCreateGpuInstanceWithPlacement"));
    nvml::GpuInstanceInfo info = {};
    RETURN_IF_ERROR(Check(api_->GetGpuInstanceInfo(created, &info), "nvmlGpuInstanceGetInfo"));
    return static_cast<int>(info.id);
  }

  Status DestroyInstance(int gpu, int instance) override {
    ASSIGN_OR_RETURN(const nvml::GpuInstance handle, InstanceOf(gpu, instance));
    return Check(api_->DestroyGpuInstance(handle), "nvmlGpuInstanceDestroy");
  }

  Result<int> CreateCompute(int gpu, int instance, int slices) override {
    ASSIGN_OR_RETURN(const nvml::GpuInstance handle, InstanceOf(gpu, instance));
    for (unsigned number = 0; number < nvml::kComputeProfileCount; ++number) {
      nvml::ComputeInstanceProfileInfo profile = {};
      if (api_->GetComputeProfile(handle, number, 0, &profile) != nvml::kSuccess) continue;
      if (profile.slices != static_cast<unsigned>(slices)) continue;
      nvml::ComputeInstance created = nullptr;
      RETURN_IF_ERROR(Check(api_->CreateComputeInstance(handle, profile.id, &created),
                            "nvmlGpuInstanceCreateComputeInstance"));
      nvml::ComputeInstanceInfo info = {};
      RETURN_IF_ERROR(
          Check(api_->GetComputeInstanceInfo(created, &info), "nvmlComputeInstanceGetInfo"));
      return static_cast<int>(info.id);
    }
    return InvalidArgument(Concat("no compute instance of ", slices, " slices in this instance"));
  }

  Status DestroyCompute(int gpu, int instance, int compute) override {
    ASSIGN_OR_RETURN(const nvml::GpuInstance inside, InstanceOf(gpu, instance));
    nvml::ComputeInstance handle = nullptr;
    RETURN_IF_ERROR(
        Check(api_->GetComputeInstanceById(inside, static_cast<unsigned>(compute), &handle),
              "nvmlGpuInstanceGetComputeInstanceById"));
    return Check(api_->DestroyComputeInstance(handle), "nvmlComputeInstanceDestroy");
  }

  Result<std::optional<XidEvent>> WaitForXid(Duration timeout) override {
    return events_.Wait(timeout);
  }

 private:
  Status Check(int result, std::string_view function) const {
    return NvmlStatus(*api_, result, function);
  }

  Result<nvml::Device> DeviceOf(int gpu) const {
    nvml::Device device = nullptr;
    RETURN_IF_ERROR(Check(api_->GetHandleByIndex(static_cast<unsigned>(gpu), &device),
                          "nvmlDeviceGetHandleByIndex"));
    return device;
  }

  Result<nvml::GpuInstance> InstanceOf(int gpu, int id) const {
    ASSIGN_OR_RETURN(const nvml::Device device, DeviceOf(gpu));
    nvml::GpuInstance instance = nullptr;
    RETURN_IF_ERROR(Check(api_->GetGpuInstanceById(device, static_cast<unsigned>(id), &instance),
                          "nvmlDeviceGetGpuInstanceById"));
    return instance;
  }

  const std::unique_ptr<gpu::NvmlMigApi> api_;
  NvmlOptions options_;
  Models models_;
  XidEvents events_;
};

}  // namespace

Result<std::unique_ptr<Driver>> OpenNvmlDriver(NvmlOptions options) {
  std::string problem;
  std::unique_ptr<gpu::NvmlMigApi> api =
      gpu::NvmlMigApi::Load(options.nvml_library.c_str(), problem);
  if (api == nullptr) return Unavailable(Concat("no NVIDIA driver: ", problem));
  if (const int result = api->Init(); result != nvml::kSuccess) {
    return Unavailable(Concat("no NVIDIA driver: nvmlInit: ", api->ErrorString(result)));
  }
  return std::unique_ptr<Driver>(new NvmlDriver(std::move(api), std::move(options)));
}

}  // namespace tepal::mig
