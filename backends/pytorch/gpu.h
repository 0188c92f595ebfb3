// The few things that need CUDA's own headers. Where LibTorch has no CUDA, Capture says so and
// nothing else is ever called.

#pragma once

#include <ATen/ATen.h>
#include <c10/core/Stream.h>

#include <functional>
#include <memory>
#include <vector>

#include "backends/sugar/plugin.h"

namespace tepal_plugin {

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
  // called on the thread whose current stream is `stream`. Intermediate results take the memory of
  // those of `share`, if any: the two must never replay at the same time.
  Error* Capture(const Forward& forward, const c10::Stream& stream, const CapturedBatch* share);

  // Replays on the current stream. Outputs are cut to `rows`.
  void Replay(int64_t rows, std::vector<at::Tensor>& outputs);

 private:
  struct Graph;
  int64_t rows_;
  std::vector<at::Tensor> inputs_, outputs_;
  std::unique_ptr<Graph> graph_;
};

// Waits until a stream has done all that is on it. Spins at first, so that a short execution is not
// longer by a wake-up, then sleeps, so that a long one leaves its core to others. For one stream.
class StreamWaiter {
 public:
  StreamWaiter();
  ~StreamWaiter();
  void Wait(const c10::Stream& stream);

 private:
  struct Event;
  std::unique_ptr<Event> event_;
};

// Copies behind what is on the stream, from and to GPUs, pinned and other memory; what is neither
// on a GPU nor pinned must not change until the stream is waited for.
void CopyAsync(std::byte* to, const std::byte* from, size_t size, const c10::Stream& stream);

// Gives memory that LibTorch keeps for later back to the GPU.
void CleanGpuCache();

}  // namespace tepal_plugin
