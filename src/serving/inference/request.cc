#include "serving/inference/request.h"

#include "core/base/check.h"
#include "core/base/text.h"

namespace tepal {

void CancellationToken::Cancel() {
  Function<void()> listener;
  {
    const std::lock_guard lock(mutex_);
    if (cancelled()) return;
    cancelled_.store(true, std::memory_order_release);
    listener = std::move(listener_);
  }
  // Outside the lock: the listener takes a queue's lock, and a queue may call SetListener.
  if (listener) listener();
}

void CancellationToken::SetListener(Function<void()> listener) {
  {
    const std::lock_guard lock(mutex_);
    if (!cancelled()) {
      std::swap(listener_, listener);
      return;
    }
  }
  if (listener) listener();
}

const InputTensor* InferenceRequest::FindInput(std::string_view name) const {
  for (const InputTensor& input : inputs) {
    if (input.name == name) return &input;
  }
  return nullptr;
}

void InferenceRequest::Fail(std::unique_ptr<InferenceRequest> request, Status status) {
  TEPAL_CHECK(!status.ok());
  if (request->sink == nullptr) return;
  auto response = std::make_unique<InferenceResponse>();
  response->status = std::move(status);
  response->model_name = request->model_name;
  response->model_version = request->requested_version > 0 ? request->requested_version : 0;
  response->id = request->id;
  const std::shared_ptr<ResponseSink> sink = std::move(request->sink);
  // The request goes first, so that whoever hears the answer no longer finds it counted.
  request.reset();
  sink->OnResponse(std::move(response), true);
}

std::string RequestIdPrefix(const InferenceRequest& request) {
  return Concat("[request id: ", request.id.empty() ? "<id_unknown>" : request.id, "] ");
}

}  // namespace tepal
