// The functions of NVML that partition GPUs and tell who uses the parts, found at run time.
//
// Needs a library that knows profiles by name (nvml…ProfileInfoV: drivers from 470 on); one that
// lacks a function is refused with its name.

#pragma once

#include <memory>
#include <string>

#include "core/gpu/nvml_abi.h"

namespace tepal::gpu {

struct NvmlMigApi {
  using Return = int;

  Return (*Init)();
  Return (*Shutdown)();
  const char* (*ErrorString)(Return);
  Return (*GetDriverVersion)(char* text, unsigned size);
  Return (*GetProcessName)(unsigned pid, char* name, unsigned size);

  // Devices: whole GPUs and MIG devices alike.
  Return (*GetCount)(unsigned*);
  Return (*GetHandleByIndex)(unsigned index, nvml::Device*);
  Return (*GetName)(nvml::Device, char* name, unsigned size);
  Return (*GetUuid)(nvml::Device, char* uuid, unsigned size);
  Return (*GetMinor)(nvml::Device, unsigned*);
  Return (*GetPciInfo)(nvml::Device, nvml::PciInfo*);
  Return (*GetMemory)(nvml::Device, nvml::Memory*);
  Return (*GetComputeCapability)(nvml::Device, int* major, int* minor);
  Return (*GetComputeProcesses)(nvml::Device, unsigned* count, nvml::ProcessInfo*);
  Return (*GetGraphicsProcesses)(nvml::Device, unsigned* count, nvml::ProcessInfo*);

  // MIG mode and devices.
  Return (*GetMigMode)(nvml::Device, unsigned* current, unsigned* pending);
  Return (*SetMigMode)(nvml::Device, unsigned mode, Return* activation);
  Return (*GetMigDeviceCountMax)(nvml::Device, unsigned*);
  Return (*GetMigDevice)(nvml::Device, unsigned index, nvml::Device*);
  Return (*GetGpuInstanceId)(nvml::Device, unsigned*);
  Return (*GetComputeInstanceId)(nvml::Device, unsigned*);
  Return (*GetAttributes)(nvml::Device, nvml::Attributes*);

  // GPU instances.
  Return (*GetGpuProfile)(nvml::Device, unsigned profile, nvml::GpuInstanceProfileInfoV2*);
  Return (*GetGpuPlacements)(nvml::Device, unsigned id, nvml::Placement*, unsigned* count);
  Return (*GetGpuInstances)(nvml::Device, unsigned id, nvml::GpuInstance*, unsigned* count);
  Return (*GetGpuInstanceById)(nvml::Device, unsigned id, nvml::GpuInstance*);
  Return (*GetGpuInstanceInfo)(nvml::GpuInstance, nvml::GpuInstanceInfo*);
  Return (*CreateGpuInstance)(nvml::Device, unsigned id, const nvml::Placement*,
                              nvml::GpuInstance*);
  Return (*DestroyGpuInstance)(nvml::GpuInstance);

  // Compute instances.
  Return (*GetComputeProfile)(nvml::GpuInstance, unsigned profile, unsigned engines,
                              nvml::ComputeInstanceProfileInfo*);
  Return (*GetComputeInstances)(nvml::GpuInstance, unsigned id, nvml::ComputeInstance*,
                                unsigned* count);
  Return (*GetComputeInstanceById)(nvml::GpuInstance, unsigned id, nvml::ComputeInstance*);
  Return (*GetComputeInstanceInfo)(nvml::ComputeInstance, nvml::ComputeInstanceInfo*);
  Return (*CreateComputeInstance)(nvml::GpuInstance, unsigned id, nvml::ComputeInstance*);
  Return (*CreateComputeInstanceAt)(nvml::GpuInstance, unsigned id, const nvml::Placement*,
                                    nvml::ComputeInstance*);
  Return (*DestroyComputeInstance)(nvml::ComputeInstance);

  // Events.
  Return (*CreateEventSet)(nvml::EventSet*);
  Return (*GetSupportedEvents)(nvml::Device, unsigned long long* types);
  Return (*RegisterEvents)(nvml::Device, unsigned long long types, nvml::EventSet);
  Return (*WaitForEvent)(nvml::EventSet, nvml::EventData*, unsigned timeout_ms);
  Return (*FreeEventSet)(nvml::EventSet);

  // Null, and why in `problem`, without the library or with one that lacks a function.
  static std::unique_ptr<NvmlMigApi> Load(const char* library_name, std::string& problem);
};

}  // namespace tepal::gpu
