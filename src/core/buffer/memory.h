// Kinds of memory, and the way to bytes that the CPU cannot reach.

#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/status.h"

namespace tepal {

// The order is the C interface's.
enum class MemoryKind { kCpu, kCpuPinned, kGpu };

// One GPU, as far as copying goes. Thread-safe; outlives every slab on it. Copies have been made
// when the call returns.
class DeviceMemory {
 public:
  virtual ~DeviceMemory() = default;
  virtual int64_t device() const = 0;  // Its ordinal.
  virtual Status CopyToHost(const std::byte* from, std::byte* to, size_t size) = 0;
  virtual Status CopyFromHost(const std::byte* from, std::byte* to, size_t size) = 0;
};

// Where the bytes of a slab lie. Pinned memory is the CPU's, at a place that GPUs can copy from and
// to by themselves.
struct MemoryPlace {
  MemoryKind kind = MemoryKind::kCpu;
  DeviceMemory* gpu = nullptr;  // With kGpu, and only then.

  int64_t device() const { return gpu == nullptr ? 0 : gpu->device(); }
};

}  // namespace tepal
