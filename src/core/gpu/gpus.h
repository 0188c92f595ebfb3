// The GPUs of this machine as the server needs them: which there are, memory that another process
// shares, and memory that GPUs can copy from by themselves.
//
// Runs no kernels and allocates nothing on a GPU: that is for the backends. CUDA is opened at run
// time, so that the same program runs without it. Asking which GPUs there are starts the driver
// (some tenths of a second) but takes none of their memory; the first Import or Pin takes a context
// (CUDA's primary one, which backends share). Thread-safe. Errors say what the driver said.

#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/buffer/buffer.h"

namespace tepal::gpu {

struct GpuDevice {
  int32_t ordinal = 0;  // CUDA's: what CUDA_VISIBLE_DEVICES or a container leaves, from 0.
  std::string uuid;     // "8-4-4-4-12" hexadecimal digits, without the "GPU-" or "MIG-" in front.
  std::string name;
  uint64_t memory_bytes = 0;
};

// Memory of this process that GPUs may copy from and to by themselves, until destroyed.
class PinnedRange {
 public:
  virtual ~PinnedRange() = default;
};

// The bytes of a cudaIpcMemHandle_t.
inline constexpr size_t kIpcHandleSize = 64;

class Gpus {
 public:
  virtual ~Gpus() = default;

  // Set once a model runs on a GPU, for those who would do work for it in vain before.
  void Use() { in_use_.store(true, std::memory_order_relaxed); }
  bool in_use() const { return in_use_.load(std::memory_order_relaxed); }

  // Empty where none can be used; `why_none` then says why ("libcuda.so.1: cannot open …").
  virtual const std::vector<GpuDevice>& devices() = 0;
  virtual const std::string& why_none() = 0;

  // Memory that another process has allocated on `device` and exported: an allocation as a whole.
  // Open until the last view of it is gone. kInvalidArgument: no such device, a handle of the wrong
  // length or one that the driver refuses, or an allocation of fewer than `size` bytes.
  virtual Result<Buffer> Import(int64_t device, std::span<const std::byte> handle,
                                uint64_t size) = 0;

  // `bytes` stay mapped until the range is destroyed. kUnavailable where that cannot be.
  virtual Result<std::unique_ptr<PinnedRange>> Pin(std::span<std::byte> bytes) = 0;

  // Fresh pinned memory: costs a system call and page faults, so it is for pools.
  virtual Result<Buffer> AllocatePinned(size_t size) = 0;

 private:
  std::atomic<bool> in_use_{false};
};

// The real ones, through CUDA's driver `library`. The library is looked for when first needed.
std::unique_ptr<Gpus> NewCudaGpus(const char* library = "libcuda.so.1");

}  // namespace tepal::gpu
