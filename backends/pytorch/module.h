// One TorchScript file on one device, and runners that execute it. The only part that includes
// LibTorch; the same source builds against 1.13 and 2.x, with CUDA and without.
//
// A runner on a GPU has a stream of its own: each input goes to the device in one copy from pinned
// memory, each output comes back likewise, and Run waits for the stream. Several runners of a
// device overlap one's copies with another's computation. It does not keep GPU memory from growing:
// LibTorch's allocator does that, and when it fails the error is UNAVAILABLE and the runner lives.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backends/pytorch/settings.h"

namespace tepal_plugin {

constexpr int kCpuDevice = -1;

// How many GPUs this LibTorch can use; 0 when it was built without CUDA.
int GpuCount();

// "LibTorch 1.13.1 without CUDA": for logs and errors.
std::string TorchText();

struct LoadedModule;  // Thread-safe once loaded.

// `device`: a GPU's number or kCpuDevice. The error names the file, or the GPU that is not there.
Error* LoadModule(const std::string& path, int device, std::shared_ptr<LoadedModule>& out);

// The names of forward's arguments, without self.
const std::vector<std::string>& ForwardArguments(const LoadedModule& module);

// A result, in the memory of the CPU.
struct HostTensor {
  TRITONSERVER_DataType type = TRITONSERVER_TYPE_INVALID;
  std::vector<int64_t> shape;
  const std::byte* data = nullptr;
  size_t byte_size = 0;
};

// Not thread-safe: one execution at a time.
class TorchRunner {
 public:
  // Captures the CUDA graphs that the settings ask for (on a GPU).
  static Error* Make(std::shared_ptr<LoadedModule> module, const std::string& model,
                     const TorchSettings& settings, std::unique_ptr<TorchRunner>& out);
  virtual ~TorchRunner() = default;

  // Memory for the whole of input `index`, to be filled before Run.
  virtual Error* StageInput(size_t index, const std::vector<int64_t>& shape, size_t byte_size,
                            std::byte*& to) = 0;
  // In the order of the configuration's outputs; valid until the next StageInput.
  virtual Error* Run(std::vector<HostTensor>& results) = 0;
};

}  // namespace tepal_plugin
