#include "serving/backend/host/request_objects.h"

#include <utility>

#include "core/base/check.h"
#include "core/base/text.h"

using tepal::InferenceRequest;
using tepal::InferenceResponse;
using tepal::Status;

namespace tepal::backend_host {
namespace {

// What the backend sees where the configuration reshapes: the batch dimension of `shape`, then
// `wanted`, whose -1 stand for the lengths of `declared`'s -1 in their order.
void Reshape(const Shape& shape, bool batches, const Shape& declared, const Shape& wanted,
             Shape& out) {
  out.clear();
  const size_t skip = batches && !shape.empty() ? 1 : 0;
  if (skip == 1) out.push_back(shape[0]);
  size_t next = 0;
  for (int64_t length : wanted) {
    if (length == -1) {
      while (next < declared.size() && declared[next] != -1) ++next;
      if (next < declared.size() && next + skip < shape.size()) length = shape[next + skip];
      ++next;
    }
    out.push_back(length);
  }
}

void SetInputs(TRITONBACKEND_Request& handle) {
  const std::vector<InputTensor>& tensors = handle.request->inputs;
  if (handle.inputs.size() < tensors.size()) handle.inputs.resize(tensors.size());
  handle.input_count = tensors.size();
  const TRITONBACKEND_Model& model = *handle.instance->model;
  for (size_t i = 0; i < tensors.size(); ++i) {
    TRITONBACKEND_Input& input = handle.inputs[i];
    input.tensor = &tensors[i];
    input.shape = &tensors[i].shape;
    input.byte_size = TotalSize(tensors[i].data);
    input.attributes.clear();
    if (!model.reshapes) continue;
    const ModelInput* declared = model.config->FindInput(tensors[i].name);
    if (declared == nullptr || !declared->reshape) continue;
    Reshape(tensors[i].shape, model.config->max_batch_size > 0, declared->dims, *declared->reshape,
            input.reshaped);
    input.shape = &input.reshaped;
  }
}

}  // namespace

TRITONBACKEND_Request* RequestPool::Take(TRITONBACKEND_ModelInstance* instance,
                                         std::unique_ptr<InferenceRequest> request,
                                         uint32_t state) {
  std::unique_ptr<TRITONBACKEND_Request> handle;
  {
    auto spare = spare_.Lock();
    if (!spare->empty()) {
      handle = std::move(spare->back());
      spare->pop_back();
    }
  }
  if (handle == nullptr) handle = std::make_unique<TRITONBACKEND_Request>();
  handle->state.store(state, std::memory_order_relaxed);
  handle->references.store(2, std::memory_order_relaxed);
  handle->request = std::move(request);
  handle->instance = instance;
  handle->pool = shared_from_this();
  handle->sink = std::move(handle->request->sink);
  handle->cancellation = std::move(handle->request->cancellation);
  handle->id = std::move(handle->request->id);
  handle->times = handle->request->times;
  if (handle->times.queued == Instant{}) handle->times.queued = handle->times.compute_start;
  if (handle->times.received == Instant{}) handle->times.received = handle->times.queued;
  handle->answered.store(false, std::memory_order_relaxed);
  handle->reported = false;
  SetInputs(*handle);
  return handle.release();
}

void RequestPool::Give(TRITONBACKEND_Request* request) {
  std::unique_ptr<TRITONBACKEND_Request> handle(request);
  auto spare = spare_.Lock();
  if (spare->size() < kSpareMax) spare->push_back(std::move(handle));
}

}  // namespace tepal::backend_host

void TRITONBACKEND_Request::Unref() {
  if (references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if ((state.load(std::memory_order_acquire) & kFinal) == 0) {
    HoldError(tepal::Internal(tepal::Concat("the backend '", instance->model->backend->name,
                                            "' released a request of model '",
                                            instance->model->name, "' without answering it")));
    Advance(kFinal);
  }
  TEPAL_CHECK(state.load(std::memory_order_relaxed) == kDone);
  cancellation.reset();
  const auto keep = std::move(pool);
  keep->Give(this);
}

uint32_t TRITONBACKEND_Request::Advance(uint32_t bits) {
  const uint32_t before = state.fetch_or(bits, std::memory_order_acq_rel);
  if (before != kDone && (before | bits) == kDone) Deliver();
  return before;
}

void TRITONBACKEND_Request::RecordOutcome() {
  if (reported) return;
  reported = true;
  const TRITONBACKEND_Model& model = *instance->model;
  const tepal::Instant now = model.clock->Now();
  const tepal::Duration total = now - times.received;
  if (held != nullptr && !held->status.ok()) {
    model.statistics->AddFailure(held->status.code() == tepal::StatusCode::kCancelled
                                     ? tepal::FailureReason::kCanceled
                                     : tepal::FailureReason::kBackend,
                                 total);
    return;
  }
  // The backend said nothing about its parts: all of it is inference.
  model.statistics->AddSuccess({total,
                                times.compute_start - times.queued,
                                {},
                                now - times.compute_start,
                                {},
                                model.clock->WallNow()});
}

void TRITONBACKEND_Request::HoldError(Status status) {
  held = NewResponse();
  held->status = std::move(status);
}

std::unique_ptr<InferenceResponse> TRITONBACKEND_Request::NewResponse() const {
  auto fresh = std::make_unique<InferenceResponse>();
  fresh->model_name = instance->model->name;
  fresh->model_version = instance->model->version;
  fresh->id = id;
  return fresh;
}

void TRITONBACKEND_Request::Deliver() {
  RecordOutcome();
  if (held != nullptr) held->times = times;
  // The request goes first, so that whoever hears the answer no longer finds it counted.
  request.reset();
  { const tepal::RequestLease ending = std::move(lease); }
  const std::shared_ptr<tepal::ResponseSink> to = std::move(sink);
  if (to != nullptr) to->OnResponse(std::move(held), true);
  held.reset();
}
