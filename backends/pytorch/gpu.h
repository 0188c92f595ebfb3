// The GPUs of LibTorch: what needs CUDA's own headers, and nothing else. Built without CUDA there
// are no GPUs, and nothing but GpuCount is ever called.
//
// The seam for tests: testing/fake_gpu.cc stands in for gpu.cc and shows what went on which stream.

#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <vector>

#include "backends/sugar/plugin.h"

namespace tepal_plugin {

// How many GPUs this LibTorch can use; 0 when it was built without CUDA.
int GpuCount();

// Where tensors and modules of GPU `ordinal` lie.
at::Device GpuDevice(int ordinal);

// Memory of the CPU that GPUs copy from and to by themselves.
at::Tensor PinnedBytes(size_t size);

// Gives memory that LibTorch keeps for later back to the GPU.
void CleanGpuCache();

// A stream of one GPU. Used by one thread at a time; throws what LibTorch throws.
class GpuStream {
 public:
  explicit GpuStream(int ordinal);
  ~GpuStream();
  GpuStream(const GpuStream&) = delete;
  GpuStream& operator=(const GpuStream&) = delete;

  // While this lives, what its thread asks of LibTorch goes on the stream. Null: nothing changes.
  class Use {
   public:
    explicit Use(GpuStream* stream);
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    struct Guard;
    std::unique_ptr<Guard> guard_;
  };

  // Copies behind what is on the stream, from and to GPUs, pinned and other memory; what is neither
  // on a GPU nor pinned must not change until the stream is waited for.
  void Copy(std::byte* to, const std::byte* from, size_t size);

  // Until the stream has done all that is on it. Spins at first, so that a short execution is not
  // longer by a wake-up, then sleeps, so that a long one leaves its core to others.
  void Wait();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// A CUDA graph of one batch size: captured once, replayed with the rows of each batch. What a small
// batch spends on launching hundreds of kernels one by one becomes one launch.
class CapturedBatch {
 public:
  using Forward = std::function<Error*(const std::vector<at::Tensor>&, std::vector<at::Tensor>&)>;

  // `inputs` lie on the GPU, `rows` rows each, and are the graph's from now on.
  CapturedBatch(int64_t rows, std::vector<at::Tensor> inputs);
  CapturedBatch(CapturedBatch&&) noexcept;
  CapturedBatch& operator=(CapturedBatch&&) noexcept;
  ~CapturedBatch();

  int64_t rows() const { return rows_; }
  // Where rows of input `index` are put before Replay; those that are not hold what earlier batches
  // left.
  const at::Tensor& input(size_t index) const { return inputs_[index]; }

  // Runs `forward` some times, so that LibTorch has chosen its kernels, then records it. To be
  // called while `stream` is in use. Intermediate results take the memory of those of `share`, if
  // any: the two must never replay at the same time.
  Error* Capture(const Forward& forward, GpuStream& stream, const CapturedBatch* share);

  // Replays on the stream in use. Outputs are cut to `rows`.
  void Replay(int64_t rows, std::vector<at::Tensor>& outputs);

 private:
  struct Graph;
  void CutOutputs(int64_t rows, std::vector<at::Tensor>& outputs) const {
    for (const at::Tensor& output : outputs_) {
      outputs.push_back(output.dim() > 0 ? output.narrow(0, 0, std::min(rows, output.size(0)))
                                         : output);
    }
  }

  int64_t rows_;
  std::vector<at::Tensor> inputs_, outputs_;
  std::unique_ptr<Graph> graph_;
};

}  // namespace tepal_plugin
