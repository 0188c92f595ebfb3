#include "backends/pytorch/gpu.h"

#include <algorithm>

#ifdef TEPAL_TORCH_CUDA
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>
#endif

namespace tepal_plugin {

#ifdef TEPAL_TORCH_CUDA

namespace {
constexpr int kWarmUps = 4;  // TorchScript profiles the first runs and compiles in the next ones.
constexpr uint64_t kSpinNs = 1'000'000;
}  // namespace

struct CapturedBatch::Graph {
  at::cuda::CUDAGraph graph;
};

Error* CapturedBatch::Capture(const Forward& forward, const c10::Stream& stream,
                              const CapturedBatch* share) {
  for (int i = 0; i < kWarmUps; ++i) {
    std::vector<at::Tensor> outputs;
    TEPAL_RETURN_IF_ERROR(forward(inputs_, outputs));
  }
  stream.synchronize();
  graph_ = std::make_unique<Graph>();
  // Other instances may be at work on the same GPU meanwhile: only this thread is captured.
  decltype(graph_->graph.pool()) pool{0, 0};
  if (share != nullptr) pool = share->graph_->graph.pool();
  graph_->graph.capture_begin(pool, cudaStreamCaptureModeThreadLocal);
  Error* error = forward(inputs_, outputs_);
  graph_->graph.capture_end();
  return error;
}

void CapturedBatch::Replay(int64_t rows, std::vector<at::Tensor>& outputs) {
  graph_->graph.replay();
  for (const at::Tensor& output : outputs_) {
    outputs.push_back(output.dim() > 0 ? output.narrow(0, 0, std::min(rows, output.size(0)))
                                       : output);
  }
}

struct StreamWaiter::Event {
  at::cuda::CUDAEvent event{cudaEventDisableTiming | cudaEventBlockingSync};
};

void StreamWaiter::Wait(const c10::Stream& stream) {
  if (event_ == nullptr) event_ = std::make_unique<Event>();
  event_->event.record(c10::cuda::CUDAStream(stream));
  const uint64_t spin_end = NowNs() + kSpinNs;
  while (NowNs() < spin_end) {
    if (event_->event.query()) return;
  }
  event_->event.synchronize();
}

void CopyAsync(std::byte* to, const std::byte* from, size_t size, const c10::Stream& stream) {
  C10_CUDA_CHECK(
      cudaMemcpyAsync(to, from, size, cudaMemcpyDefault, c10::cuda::CUDAStream(stream).stream()));
}

void CleanGpuCache() { c10::cuda::CUDACachingAllocator::emptyCache(); }

#else

struct CapturedBatch::Graph {};

Error* CapturedBatch::Capture(const Forward& /*forward*/, const c10::Stream& /*stream*/,
                              const CapturedBatch* /*share*/) {
  return Fail(TRITONSERVER_ERROR_UNSUPPORTED,
              "parameter 'CUDA_GRAPH_BATCH_SIZES': the plugin was built without CUDA");
}

void CapturedBatch::Replay(int64_t /*rows*/, std::vector<at::Tensor>& /*outputs*/) {}

struct StreamWaiter::Event {};

void StreamWaiter::Wait(const c10::Stream& stream) { stream.synchronize(); }

void CopyAsync(std::byte* /*to*/, const std::byte* /*from*/, size_t /*size*/,
               const c10::Stream& /*stream*/) {}

void CleanGpuCache() {}

#endif

CapturedBatch::CapturedBatch(int64_t rows, std::vector<at::Tensor> inputs)
    : rows_(rows), inputs_(std::move(inputs)) {}
CapturedBatch::CapturedBatch(CapturedBatch&&) noexcept = default;
CapturedBatch& CapturedBatch::operator=(CapturedBatch&&) noexcept = default;
CapturedBatch::~CapturedBatch() = default;

StreamWaiter::StreamWaiter() = default;
StreamWaiter::~StreamWaiter() = default;

}  // namespace tepal_plugin
