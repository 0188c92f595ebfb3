#include "backends/pytorch/gpu.h"

#include <optional>

#ifdef TEPAL_TORCH_CUDA
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/core/StreamGuard.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>
#endif

namespace tepal_plugin {

#ifdef TEPAL_TORCH_CUDA

namespace {
constexpr int kWarmUps = 4;  // TorchScript profiles the first runs and compiles in the next ones.
constexpr uint64_t kSpinNs = 1'000'000;
}  // namespace

int GpuCount() { return c10::cuda::device_count(); }

at::Device GpuDevice(int ordinal) {
  return at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(ordinal));
}

at::Tensor PinnedBytes(size_t size) {
  return at::empty({static_cast<int64_t>(size)}, at::TensorOptions(at::kByte).pinned_memory(true));
}

void CleanGpuCache() { c10::cuda::CUDACachingAllocator::emptyCache(); }

struct GpuStream::State {
  c10::cuda::CUDAStream stream;
  std::optional<at::cuda::CUDAEvent> event;
};

GpuStream::GpuStream(int ordinal)
    : state_(std::make_unique<State>(
          State{c10::cuda::getStreamFromPool(false, static_cast<c10::DeviceIndex>(ordinal)),
                std::nullopt})) {}
GpuStream::~GpuStream() = default;

void GpuStream::Copy(std::byte* to, const std::byte* from, size_t size) {
  C10_CUDA_CHECK(cudaMemcpyAsync(to, from, size, cudaMemcpyDefault, state_->stream.stream()));
}

void GpuStream::Wait() {
  std::optional<at::cuda::CUDAEvent>& event = state_->event;
  if (!event) event.emplace(cudaEventDisableTiming | cudaEventBlockingSync);
  event->record(state_->stream);
  const uint64_t spin_end = NowNs() + kSpinNs;
  while (NowNs() < spin_end) {
    if (event->query()) return;
  }
  event->synchronize();
}

struct GpuStream::Use::Guard {
  explicit Guard(const c10::cuda::CUDAStream& stream) : guard(stream.unwrap()) {}
  c10::StreamGuard guard;
};

GpuStream::Use::Use(GpuStream* stream) {
  if (stream != nullptr) guard_ = std::make_unique<Guard>(stream->state_->stream);
}
GpuStream::Use::~Use() = default;

struct CapturedBatch::Graph {
  at::cuda::CUDAGraph graph;
};

Error* CapturedBatch::Capture(const Forward& forward, GpuStream& stream,
                              const CapturedBatch* share) {
  for (int i = 0; i < kWarmUps; ++i) {
    std::vector<at::Tensor> outputs;
    TEPAL_RETURN_IF_ERROR(forward(inputs_, outputs));
  }
  stream.Wait();
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
  CutOutputs(rows, outputs);
}

#else

int GpuCount() { return 0; }
at::Device GpuDevice(int /*ordinal*/) { return at::kCPU; }
at::Tensor PinnedBytes(size_t /*size*/) { return {}; }
void CleanGpuCache() {}

struct GpuStream::State {};
GpuStream::GpuStream(int /*ordinal*/) {}
GpuStream::~GpuStream() = default;
void GpuStream::Copy(std::byte* /*to*/, const std::byte* /*from*/, size_t /*size*/) {}
void GpuStream::Wait() {}

struct GpuStream::Use::Guard {};
GpuStream::Use::Use(GpuStream* /*stream*/) {}
GpuStream::Use::~Use() = default;

struct CapturedBatch::Graph {};

Error* CapturedBatch::Capture(const Forward& /*forward*/, GpuStream& /*stream*/,
                              const CapturedBatch* /*share*/) {
  return Fail(TRITONSERVER_ERROR_UNSUPPORTED, "the plugin was built without CUDA");
}

void CapturedBatch::Replay(int64_t /*rows*/, std::vector<at::Tensor>& /*outputs*/) {}

#endif

CapturedBatch::CapturedBatch(int64_t rows, std::vector<at::Tensor> inputs)
    : rows_(rows), inputs_(std::move(inputs)) {}
CapturedBatch::CapturedBatch(CapturedBatch&&) noexcept = default;
CapturedBatch& CapturedBatch::operator=(CapturedBatch&&) noexcept = default;
CapturedBatch::~CapturedBatch() = default;

}  // namespace tepal_plugin
