#include "backends/pytorch/cpu_memory.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <torch/csrc/api/include/torch/version.h>

#include <cstring>
#include <memory>
#include <new>

#include "backends/pytorch/block_cache.h"

namespace tepal_plugin {
namespace {

// Never destroyed: tensors that LibTorch holds may outlive every other part of the plugin.
BlockCache& Cache() {
  static BlockCache& cache =
      *std::make_unique<BlockCache>(kKeptTensorMin, kKeptTensorsMax).release();
  return cache;
}

void GiveBack(void* block) {
  if (block != nullptr) Cache().Give(block);
}

class CachingAllocator final : public c10::Allocator {
 public:
#if TORCH_VERSION_MAJOR >= 2
  c10::DataPtr allocate(size_t size) override { return Allocate(size); }
  void copy_data(void* to, const void* from, size_t size) const override {
    std::memcpy(to, from, size);
  }
#else
  c10::DataPtr allocate(size_t size) const override { return Allocate(size); }
#endif

  // oneDNN's memory comes this way.
  c10::DeleterFnPtr raw_deleter() const override { return &GiveBack; }

 private:
  static c10::DataPtr Allocate(size_t size) {
    if (size == 0) return {nullptr, c10::Device(c10::kCPU)};
    void* const block = Cache().Take(size);
    if (block == nullptr) throw std::bad_alloc();
    return {block, block, &GiveBack, c10::Device(c10::kCPU)};
  }
};

}  // namespace

void KeepCpuTensors() {
  static CachingAllocator allocator;
  c10::SetCPUAllocator(&allocator);
}

void TrimCpuTensors() { Cache().Trim(); }

}  // namespace tepal_plugin
