#include "backends/pytorch/graph.h"

#include <algorithm>

#ifdef TEPAL_TORCH_CUDA
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#endif

namespace tepal_plugin {

#ifdef TEPAL_TORCH_CUDA

namespace {
constexpr int kWarmUps = 4;  // TorchScript profiles the first runs and compiles in the next ones.
}  // namespace

struct CapturedBatch::Graph {
  at::cuda::CUDAGraph graph;
};

Error* CapturedBatch::Capture(const Forward& forward, const c10::Stream& stream) {
  for (int i = 0; i < kWarmUps; ++i) {
    std::vector<at::Tensor> outputs;
    TEPAL_RETURN_IF_ERROR(forward(inputs_, outputs));
  }
  stream.synchronize();
  graph_ = std::make_unique<Graph>();
  // Other instances may be at work on the same GPU meanwhile: only this thread is captured.
  graph_->graph.capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
  Error* error = forward(inputs_, outputs_);
  graph_->graph.capture_end();
  return error;
}

void CapturedBatch::Replay(const std::vector<at::Tensor>& from, int64_t rows,
                           std::vector<at::Tensor>& outputs) {
  for (size_t i = 0; i < inputs_.size(); ++i) {
    inputs_[i].narrow(0, 0, rows).copy_(from[i], /*non_blocking=*/true);
  }
  graph_->graph.replay();
  for (const at::Tensor& output : outputs_) {
    outputs.push_back(output.dim() > 0 ? output.narrow(0, 0, std::min(rows, output.size(0)))
                                       : output);
  }
}

void CleanGpuCache() { c10::cuda::CUDACachingAllocator::emptyCache(); }

#else

struct CapturedBatch::Graph {};

Error* CapturedBatch::Capture(const Forward& /*forward*/, const c10::Stream& /*stream*/) {
  return Fail(TRITONSERVER_ERROR_UNSUPPORTED,
              "parameter 'CUDA_GRAPH_BATCH_SIZES': the plugin was built without CUDA");
}

void CapturedBatch::Replay(const std::vector<at::Tensor>& /*from*/, int64_t /*rows*/,
                           std::vector<at::Tensor>& /*outputs*/) {}

void CleanGpuCache() {}

#endif

CapturedBatch::CapturedBatch(int64_t rows, std::vector<at::Tensor> inputs)
    : rows_(rows), inputs_(std::move(inputs)) {}
CapturedBatch::CapturedBatch(CapturedBatch&&) noexcept = default;
CapturedBatch& CapturedBatch::operator=(CapturedBatch&&) noexcept = default;
CapturedBatch::~CapturedBatch() = default;

}  // namespace tepal_plugin
