#include "core/gpu/nvml_mig_api.h"

#include "core/gpu/library.h"

namespace tepal::gpu {

namespace {

void FindDevices(Library& library, NvmlMigApi& api) {
  library.Find(api.Init, "nvmlInit_v2");
  library.Find(api.Shutdown, "nvmlShutdown");
  library.Find(api.ErrorString, "nvmlErrorString");
  library.Find(api.GetDriverVersion, "nvmlSystemGetDriverVersion");
  library.Find(api.GetProcessName, "nvmlSystemGetProcessName");
  library.Find(api.GetCount, "nvmlDeviceGetCount_v2");
  library.Find(api.GetHandleByIndex, "nvmlDeviceGetHandleByIndex_v2");
  library.Find(api.GetName, "nvmlDeviceGetName");
  library.Find(api.GetUuid, "nvmlDeviceGetUUID");
  library.Find(api.GetMinor, "nvmlDeviceGetMinorNumber");
  library.Find(api.GetPciInfo, "nvmlDeviceGetPciInfo_v3");
  library.Find(api.GetMemory, "nvmlDeviceGetMemoryInfo");
  library.Find(api.GetComputeCapability, "nvmlDeviceGetCudaComputeCapability");
  library.Find(api.GetComputeProcesses, "nvmlDeviceGetComputeRunningProcesses_v3");
  library.Find(api.GetGraphicsProcesses, "nvmlDeviceGetGraphicsRunningProcesses_v3");
  library.Find(api.GetMigMode, "nvmlDeviceGetMigMode");
  library.Find(api.SetMigMode, "nvmlDeviceSetMigMode");
  library.Find(api.GetMigDeviceCountMax, "nvmlDeviceGetMaxMigDeviceCount");
  library.Find(api.GetMigDevice, "nvmlDeviceGetMigDeviceHandleByIndex");
  library.Find(api.GetGpuInstanceId, "nvmlDeviceGetGpuInstanceId");
  library.Find(api.GetComputeInstanceId, "nvmlDeviceGetComputeInstanceId");
  library.Find(api.GetAttributes, "nvmlDeviceGetAttributes_v2");
}

void FindInstances(Library& library, NvmlMigApi& api) {
  library.Find(api.GetGpuProfile, "nvmlDeviceGetGpuInstanceProfileInfoV");
  library.Find(api.GetGpuPlacements, "nvmlDeviceGetGpuInstancePossiblePlacements_v2");
  library.Find(api.GetGpuInstances, "nvmlDeviceGetGpuInstances");
  library.Find(api.GetGpuInstanceById, "nvmlDeviceGetGpuInstanceById");
  library.Find(api.GetGpuInstanceInfo, "nvmlGpuInstanceGetInfo");
  library.Find(api.CreateGpuInstance, "nvmlDeviceCreateGpuInstanceWithPlacement");
  library.Find(api.DestroyGpuInstance, "nvmlGpuInstanceDestroy");
  library.Find(api.GetComputeProfile, "nvmlGpuInstanceGetComputeInstanceProfileInfo");
  library.Find(api.GetComputeInstances, "nvmlGpuInstanceGetComputeInstances");
  library.Find(api.GetComputeInstanceById, "nvmlGpuInstanceGetComputeInstanceById");
  library.Find(api.GetComputeInstanceInfo, "nvmlComputeInstanceGetInfo_v2");
  library.Find(api.CreateComputeInstance, "nvmlGpuInstanceCreateComputeInstance");
  library.Find(api.CreateComputeInstanceAt, "nvmlGpuInstanceCreateComputeInstanceWithPlacement");
  library.Find(api.DestroyComputeInstance, "nvmlComputeInstanceDestroy");
  library.Find(api.CreateEventSet, "nvmlEventSetCreate");
  library.Find(api.GetSupportedEvents, "nvmlDeviceGetSupportedEventTypes");
  library.Find(api.RegisterEvents, "nvmlDeviceRegisterEvents");
  library.Find(api.WaitForEvent, "nvmlEventSetWait_v2");
  library.Find(api.FreeEventSet, "nvmlEventSetFree");
}

}  // namespace

std::unique_ptr<NvmlMigApi> NvmlMigApi::Load(const char* library_name, std::string& problem) {
  Library library(library_name);
  auto api = std::make_unique<NvmlMigApi>();
  FindDevices(library, *api);
  FindInstances(library, *api);
  problem = library.problem();
  if (!problem.empty()) return nullptr;
  return api;
}

}  // namespace tepal::gpu
