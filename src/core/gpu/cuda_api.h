// The functions of CUDA's driver that Tepal calls, found in libcuda.so.1 at run time.
//
// Nothing is linked and no header of CUDA is needed: the few types are declared here as the
// driver's ABI has them (CUDA Driver API, stable since 4.0; `_v2` are the 64-bit forms). Plugins
// include this header too.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "core/gpu/library.h"

namespace tepal::gpu {

using CudaResult = int;
using CudaDevice = int;
using CudaPointer = unsigned long long;
using CudaContext = struct CudaContextTag*;
using CudaStream = struct CudaStreamTag*;
using CudaEvent = struct CudaEventTag*;

inline constexpr CudaResult kCudaSuccess = 0;
inline constexpr CudaResult kCudaOutOfMemory = 2;
inline constexpr unsigned kCudaStreamNonBlocking = 1;
inline constexpr unsigned kCudaEventSleeping = 1 | 2;  // Waiters sleep; it takes no time stamps.
inline constexpr unsigned kCudaIpcLazyEnablePeerAccess = 1;
inline constexpr unsigned kCudaHostPortable = 1;  // Pinned for every context.

struct CudaUuid {
  unsigned char bytes[16];
};
struct CudaIpcHandle {
  char bytes[64];
};

inline constexpr const char* kCudaDriver = "libcuda.so.1";

struct CudaApi {
  CudaResult (*Init)(unsigned flags);
  CudaResult (*GetErrorString)(CudaResult, const char** text);
  CudaResult (*DeviceGetCount)(int* count);
  CudaResult (*DeviceGet)(CudaDevice*, int ordinal);
  CudaResult (*DeviceGetName)(char* name, int size, CudaDevice);
  CudaResult (*DeviceGetUuid)(CudaUuid*, CudaDevice);
  CudaResult (*DeviceTotalMem)(size_t* bytes, CudaDevice);
  CudaResult (*PrimaryContextRetain)(CudaContext*, CudaDevice);
  CudaResult (*PrimaryContextRelease)(CudaDevice);
  CudaResult (*ContextPush)(CudaContext);
  CudaResult (*ContextPop)(CudaContext*);
  CudaResult (*MemAlloc)(CudaPointer*, size_t);
  CudaResult (*MemFree)(CudaPointer);
  CudaResult (*MemGetAddressRange)(CudaPointer* base, size_t* size, CudaPointer);
  CudaResult (*MemHostAlloc)(void**, size_t, unsigned flags);
  CudaResult (*MemFreeHost)(void*);
  CudaResult (*MemHostRegister)(void*, size_t, unsigned flags);
  CudaResult (*MemHostUnregister)(void*);
  CudaResult (*IpcGetMemHandle)(CudaIpcHandle*, CudaPointer);
  CudaResult (*IpcOpenMemHandle)(CudaPointer*, CudaIpcHandle, unsigned flags);
  CudaResult (*IpcCloseMemHandle)(CudaPointer);
  CudaResult (*MemcpyHtoD)(CudaPointer, const void*, size_t);
  CudaResult (*MemcpyDtoH)(void*, CudaPointer, size_t);
  CudaResult (*MemcpyAsync)(CudaPointer to, CudaPointer from, size_t, CudaStream);
  CudaResult (*StreamCreate)(CudaStream*, unsigned flags);
  CudaResult (*StreamDestroy)(CudaStream);
  CudaResult (*StreamSynchronize)(CudaStream);
  CudaResult (*EventCreate)(CudaEvent*, unsigned flags);
  CudaResult (*EventDestroy)(CudaEvent);
  CudaResult (*EventRecord)(CudaEvent, CudaStream);
  CudaResult (*EventQuery)(CudaEvent);  // kCudaSuccess once it has happened.
  CudaResult (*EventSynchronize)(CudaEvent);

  // "out of memory (CUDA error 2)".
  std::string Text(CudaResult result) const {
    const char* text = nullptr;
    if (GetErrorString(result, &text) != kCudaSuccess || text == nullptr) text = "unknown error";
    return std::string(text) + " (CUDA error " + std::to_string(result) + ")";
  }

  // Null, and why in `problem`, without a driver or with one that lacks a function. Does not Init.
  static std::unique_ptr<CudaApi> Load(const char* library_name, std::string& problem);
};

inline std::unique_ptr<CudaApi> CudaApi::Load(const char* library_name, std::string& problem) {
  Library library(library_name);
  auto api = std::make_unique<CudaApi>();
  library.Find(api->Init, "cuInit");
  library.Find(api->GetErrorString, "cuGetErrorString");
  library.Find(api->DeviceGetCount, "cuDeviceGetCount");
  library.Find(api->DeviceGet, "cuDeviceGet");
  library.Find(api->DeviceGetName, "cuDeviceGetName");
  library.Find(api->DeviceGetUuid, "cuDeviceGetUuid_v2");
  library.Find(api->DeviceTotalMem, "cuDeviceTotalMem_v2");
  library.Find(api->PrimaryContextRetain, "cuDevicePrimaryCtxRetain");
  library.Find(api->PrimaryContextRelease, "cuDevicePrimaryCtxRelease_v2");
  library.Find(api->ContextPush, "cuCtxPushCurrent_v2");
  library.Find(api->ContextPop, "cuCtxPopCurrent_v2");
  library.Find(api->MemAlloc, "cuMemAlloc_v2");
  library.Find(api->MemFree, "cuMemFree_v2");
  library.Find(api->MemGetAddressRange, "cuMemGetAddressRange_v2");
  library.Find(api->MemHostAlloc, "cuMemHostAlloc");
  library.Find(api->MemFreeHost, "cuMemFreeHost");
  library.Find(api->MemHostRegister, "cuMemHostRegister_v2");
  library.Find(api->MemHostUnregister, "cuMemHostUnregister");
  library.Find(api->IpcGetMemHandle, "cuIpcGetMemHandle");
  library.Find(api->IpcOpenMemHandle, "cuIpcOpenMemHandle_v2");
  library.Find(api->IpcCloseMemHandle, "cuIpcCloseMemHandle");
  library.Find(api->MemcpyHtoD, "cuMemcpyHtoD_v2");
  library.Find(api->MemcpyDtoH, "cuMemcpyDtoH_v2");
  library.Find(api->MemcpyAsync, "cuMemcpyAsync");
  library.Find(api->StreamCreate, "cuStreamCreate");
  library.Find(api->StreamDestroy, "cuStreamDestroy_v2");
  library.Find(api->StreamSynchronize, "cuStreamSynchronize");
  library.Find(api->EventCreate, "cuEventCreate");
  library.Find(api->EventDestroy, "cuEventDestroy_v2");
  library.Find(api->EventRecord, "cuEventRecord");
  library.Find(api->EventQuery, "cuEventQuery");
  library.Find(api->EventSynchronize, "cuEventSynchronize");
  problem = library.problem();
  if (!problem.empty()) return nullptr;
  return api;
}

// The primary context of a device, which LibTorch and ONNX Runtime use too, for as long as this
// lives on this thread.
class CudaContextScope {
 public:
  CudaContextScope(const CudaApi& api, CudaContext context)
      : api_(api), result_(api.ContextPush(context)) {}
  ~CudaContextScope() {
    CudaContext popped = nullptr;
    if (result_ == kCudaSuccess) api_.ContextPop(&popped);
  }
  CudaContextScope(const CudaContextScope&) = delete;
  CudaContextScope& operator=(const CudaContextScope&) = delete;
  CudaResult result() const { return result_; }

 private:
  const CudaApi& api_;
  const CudaResult result_;
};

}  // namespace tepal::gpu
