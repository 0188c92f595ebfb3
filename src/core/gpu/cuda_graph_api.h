// The functions of CUDA's driver that record work of a stream and launch it again (CUDA graphs).
//
// Found at run time like those of cuda_api.h, but apart from them: a driver that lacks them (CUDA
// before 11.4) still serves everything else.

#pragma once

#include "core/gpu/cuda_api.h"

namespace tepal::gpu {

using CudaGraphHandle = struct CudaGraphTag*;
using CudaGraphNode = struct CudaGraphNodeTag*;
using CudaGraphExec = struct CudaGraphExecTag*;

// Only the calling thread is held back from calls that a recording cannot take (as allocations);
// others use CUDA as ever.
inline constexpr int kCudaCaptureThreadLocal = 1;

enum CudaNodeType : int {
  kCudaKernelNode = 0,
  kCudaMemcpyNode = 1,
  kCudaMemsetNode = 2,
  kCudaHostNode = 3,
  kCudaEmptyNode = 5,
  kCudaMemAllocNode = 10,
  kCudaMemFreeNode = 11,
};

inline constexpr int kCudaMemoryOfDevice = 2;

// One side of a copy, and a copy, as CUDA_MEMCPY3D has them.
struct CudaCopySide {
  size_t x_bytes, y, z, level;
  int memory;
  const void* host;
  CudaPointer device;
  void* array;
  void* reserved;
  size_t pitch, height;
};
struct CudaCopy {
  CudaCopySide from, to;
  size_t width_bytes, height, depth;
};

struct CudaGraphApi {
  CudaResult (*BeginCapture)(CudaStream, int mode);
  CudaResult (*EndCapture)(CudaStream, CudaGraphHandle*);
  CudaResult (*GetNodes)(CudaGraphHandle, CudaGraphNode*, size_t* count);
  CudaResult (*GetType)(CudaGraphNode, int* type);
  CudaResult (*GetCopy)(CudaGraphNode, CudaCopy*);
  CudaResult (*Instantiate)(CudaGraphExec*, CudaGraphHandle, unsigned long long flags);
  CudaResult (*Launch)(CudaGraphExec, CudaStream);
  CudaResult (*ExecDestroy)(CudaGraphExec);
  CudaResult (*Destroy)(CudaGraphHandle);

  // Null, and why in `problem`, without a driver or with one that lacks a function.
  static std::unique_ptr<CudaGraphApi> Load(const char* library_name, std::string& problem);
};

inline std::unique_ptr<CudaGraphApi> CudaGraphApi::Load(const char* library_name,
                                                        std::string& problem) {
  Library library(library_name);
  auto api = std::make_unique<CudaGraphApi>();
  library.Find(api->BeginCapture, "cuStreamBeginCapture_v2");
  library.Find(api->EndCapture, "cuStreamEndCapture");
  library.Find(api->GetNodes, "cuGraphGetNodes");
  library.Find(api->GetType, "cuGraphNodeGetType");
  library.Find(api->GetCopy, "cuGraphMemcpyNodeGetParams");
  library.Find(api->Instantiate, "cuGraphInstantiateWithFlags");
  library.Find(api->Launch, "cuGraphLaunch");
  library.Find(api->ExecDestroy, "cuGraphExecDestroy");
  library.Find(api->Destroy, "cuGraphDestroy");
  problem = library.problem();
  if (!problem.empty()) return nullptr;
  return api;
}

}  // namespace tepal::gpu
