// The types of NVML's ABI for MIG (NVML API Reference; nvml.h of driver 580), for who calls the
// library and for who simulates it.
//
// Only numbers and layouts: names of fields are ours. Sizes are checked against the version words
// that callers of the real library send.

#pragma once

namespace tepal::gpu::nvml {

enum Return : int {
  kSuccess = 0,
  kUninitialized = 1,
  kInvalidArgument = 2,
  kNotSupported = 3,
  kNoPermission = 4,
  kNotFound = 6,
  kInsufficientSize = 7,
  kDriverNotLoaded = 9,
  kTimeout = 10,
  kGpuIsLost = 15,
  kResetRequired = 16,
  kInUse = 19,
  kInsufficientResources = 23,
  kArgumentVersionMismatch = 25,
  kUnknown = 999,
};

using Device = struct DeviceTag*;
using GpuInstance = struct GpuInstanceTag*;
using ComputeInstance = struct ComputeInstanceTag*;
using EventSet = struct EventSetTag*;

inline constexpr unsigned kNameSize = 96;
// NVML_GPU_INSTANCE_PROFILE_COUNT, NVML_COMPUTE_INSTANCE_PROFILE_COUNT.
inline constexpr unsigned kGpuProfileCount = 0x12;
inline constexpr unsigned kComputeProfileCount = 9;
inline constexpr unsigned long long kEventXid = 8;

struct Placement {
  unsigned start, size;
};

struct GpuInstanceProfileInfo {
  unsigned id, p2p, slices, instances, multiprocessors, copy, decoders, encoders, jpeg, ofa;
  unsigned long long memory_mib;
};
struct GpuInstanceProfileInfoV2 {
  unsigned version, id, p2p, slices, instances, multiprocessors, copy, decoders, encoders, jpeg,
      ofa;
  unsigned long long memory_mib;
  char name[kNameSize];
};
struct GpuInstanceProfileInfoV3 {
  unsigned version, id, slices, instances, multiprocessors, copy, decoders, encoders, jpeg, ofa;
  unsigned long long memory_mib;
  char name[kNameSize];
  unsigned capabilities;
};
struct ComputeInstanceProfileInfo {
  unsigned id, slices, instances, multiprocessors, copy, decoders, encoders, jpeg, ofa;
};
struct ComputeInstanceProfileInfoV2 {
  unsigned version;
  ComputeInstanceProfileInfo info;
  char name[kNameSize];
};
struct ComputeInstanceProfileInfoV3 {
  unsigned version;
  ComputeInstanceProfileInfo info;
  char name[kNameSize];
  unsigned capabilities;
};
// The last byte of a version word is the version, the rest the size.
template <typename Struct>
inline constexpr unsigned kVersion = 0;
template <>
inline constexpr unsigned kVersion<GpuInstanceProfileInfoV2> = 0x02000098;
template <>
inline constexpr unsigned kVersion<GpuInstanceProfileInfoV3> = 0x03000098;
template <>
inline constexpr unsigned kVersion<ComputeInstanceProfileInfoV2> = 0x02000088;
template <>
inline constexpr unsigned kVersion<ComputeInstanceProfileInfoV3> = 0x0300008c;
static_assert(sizeof(GpuInstanceProfileInfoV2) == 0x98);
static_assert(sizeof(GpuInstanceProfileInfoV3) == 0x98);
static_assert(sizeof(ComputeInstanceProfileInfoV2) == 0x88);
static_assert(sizeof(ComputeInstanceProfileInfoV3) == 0x8c);

struct GpuInstanceInfo {
  Device device;
  unsigned id, profile_id;
  Placement placement;
};
struct ComputeInstanceInfo {
  Device device;
  GpuInstance gpu_instance;
  unsigned id, profile_id;
  Placement placement;
};
struct Memory {
  unsigned long long total, free, used;
};
struct MemoryV2 {
  unsigned version;
  unsigned long long total, reserved, free, used;
};
static_assert(sizeof(MemoryV2) == 0x28);
struct Attributes {
  unsigned multiprocessors, copy, decoders, encoders, jpeg, ofa, gpu_slices, compute_slices;
  unsigned long long memory_mib;
};
struct ProcessInfo {
  unsigned pid;
  unsigned long long memory;
  unsigned gpu_instance, compute_instance;  // kNoInstance: outside of any.
};
inline constexpr unsigned kNoInstance = 0xffff'ffff;
struct PciInfo {
  char bus_id_legacy[16];
  unsigned domain, bus, device, device_id, subsystem_id;
  char bus_id[32];
};
struct EventData {
  Device device;
  unsigned long long type, data;
  unsigned gpu_instance, compute_instance;
};

}  // namespace tepal::gpu::nvml
