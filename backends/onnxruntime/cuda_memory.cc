#include "backends/onnxruntime/cuda_memory.h"

namespace tepal_plugin {

using cuda::CudaContextScope;
using cuda::CudaPointer;
using cuda::kCudaSuccess;

Error* CudaQueue::Check(cuda::CudaResult result, const std::string& doing) const {
  if (result == kCudaSuccess) return nullptr;
  return Fail(result == cuda::kCudaOutOfMemory ? TRITONSERVER_ERROR_UNAVAILABLE
                                               : TRITONSERVER_ERROR_INTERNAL,
              doing + " GPU " + std::to_string(device_) + ": " + api_->Text(result));
}

Error* CudaQueue::Open(int device, std::unique_ptr<CudaQueue>& out, const char* driver) {
  std::unique_ptr<CudaQueue> queue(new CudaQueue(driver));
  std::string problem;
  queue->device_ = device;
  queue->api_ = cuda::CudaApi::Load(driver, problem);
  if (queue->api_ == nullptr) {
    return Fail(TRITONSERVER_ERROR_UNAVAILABLE, "CUDA's driver cannot be used: " + problem);
  }
  const cuda::CudaApi& api = *queue->api_;
  cuda::CudaDevice handle = 0;
  TEPAL_RETURN_IF_ERROR(queue->Check(api.Init(0), "starting"));
  TEPAL_RETURN_IF_ERROR(queue->Check(api.DeviceGet(&handle, device), "finding"));
  TEPAL_RETURN_IF_ERROR(queue->Check(api.PrimaryContextRetain(&queue->context_, handle), "using"));
  const CudaContextScope scope(api, queue->context_);
  TEPAL_RETURN_IF_ERROR(queue->Check(
      api.StreamCreate(&queue->stream_, cuda::kCudaStreamNonBlocking), "making a stream of"));
  TEPAL_RETURN_IF_ERROR(
      queue->Check(api.EventCreate(&queue->done_, cuda::kCudaEventSleeping), "making an event of"));
  out = std::move(queue);
  return nullptr;
}

CudaQueue::~CudaQueue() {
  if (context_ == nullptr) return;
  const CudaContextScope scope(*api_, context_);
  if (done_ != nullptr) api_->EventDestroy(done_);
  if (stream_ != nullptr) api_->StreamDestroy(stream_);
  // The context stays: the server and other instances have it too.
}

Error* CudaQueue::Copy(const void* to, const void* from, size_t size) {
  if (size == 0) return nullptr;
  return Check(api_->MemcpyAsync(reinterpret_cast<CudaPointer>(to),
                                 reinterpret_cast<CudaPointer>(from), size, stream_),
               "copying on");
}

Error* CudaQueue::Wait() {
  constexpr uint64_t kSpinNs = 1'000'000;
  TEPAL_RETURN_IF_ERROR(Check(api_->EventRecord(done_, stream_), "waiting for"));
  const uint64_t spin_end = NowNs() + kSpinNs;
  while (NowNs() < spin_end) {
    if (api_->EventQuery(done_) == kCudaSuccess) return nullptr;
  }
  return Check(api_->EventSynchronize(done_), "waiting for");
}

CudaBlock::~CudaBlock() {
  if (data_ == nullptr) return;
  const CudaContextScope scope(queue_->api(), queue_->context());
  Free();
}

void CudaBlock::Free() {
  if (data_ == nullptr) return;
  if (pinned_) {
    queue_->api().MemFreeHost(data_);
  } else {
    queue_->api().MemFree(reinterpret_cast<CudaPointer>(data_));
  }
  data_ = nullptr;
  size_ = 0;
}

Error* CudaBlock::Reserve(size_t size) {
  if (size <= size_) return nullptr;
  Free();
  const cuda::CudaApi& api = queue_->api();
  if (pinned_) {
    void* start = nullptr;
    TEPAL_RETURN_IF_ERROR(queue_->Check(api.MemHostAlloc(&start, size, cuda::kCudaHostPortable),
                                        "pinning memory for"));
    data_ = static_cast<std::byte*>(start);
  } else {
    CudaPointer start = 0;
    TEPAL_RETURN_IF_ERROR(queue_->Check(api.MemAlloc(&start, size), "allocating on"));
    data_ = reinterpret_cast<std::byte*>(start);
  }
  size_ = size;
  return nullptr;
}

}  // namespace tepal_plugin
