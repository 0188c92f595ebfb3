// A stream of one GPU, memory on it and pinned memory beside it, through CUDA's driver.

#pragma once

#include <memory>
#include <string>
#include <utility>

#include "backends/sugar/plugin.h"
#include "core/gpu/cuda_api.h"

namespace tepal_plugin {

namespace cuda = tepal::gpu;

// The device's primary context (ONNX Runtime uses the same) and a stream of our own.
class CudaQueue {
 public:
  static Error* Open(int device, std::unique_ptr<CudaQueue>& out,
                     const char* driver = cuda::kCudaDriver);
  ~CudaQueue();
  CudaQueue(const CudaQueue&) = delete;
  CudaQueue& operator=(const CudaQueue&) = delete;

  const char* driver() const { return driver_; }  // The library's name.
  const cuda::CudaApi& api() const { return *api_; }
  cuda::CudaContext context() const { return context_; }
  cuda::CudaStream stream() const { return stream_; }

  // To be called within CudaContextScope(api(), context()).
  Error* Copy(const void* to, const void* from, size_t size);  // Behind what is on the stream.
  Error* Wait();  // For all that is on it; spins at first, then sleeps.

  Error* Check(cuda::CudaResult result, const std::string& doing) const;

 private:
  explicit CudaQueue(const char* driver) : driver_(driver) {}

  const char* const driver_;
  std::unique_ptr<cuda::CudaApi> api_;
  int device_ = 0;
  cuda::CudaContext context_ = nullptr;
  cuda::CudaStream stream_ = nullptr;
  cuda::CudaEvent done_ = nullptr;
};

// A block that grows and is kept; of the GPU or pinned. Used within the queue's context.
class CudaBlock {
 public:
  CudaBlock(CudaQueue& queue, bool pinned) : queue_(&queue), pinned_(pinned) {}
  CudaBlock(CudaBlock&& other) noexcept
      : queue_(other.queue_),
        pinned_(other.pinned_),
        data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  ~CudaBlock();

  // Room for `size` bytes; what was there is gone when it had to grow.
  Error* Reserve(size_t size);
  std::byte* data() const { return data_; }

 private:
  void Free();

  CudaQueue* queue_;
  const bool pinned_;
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace tepal_plugin
