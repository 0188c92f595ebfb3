#include "serving/frontend/pending_answer.h"

#include <utility>

#include "core/base/text.h"

namespace tepal {

void PendingAnswer::Attach(InferenceRequest& request, const std::shared_ptr<ServedModel>& model) {
  batched_ = model->config().max_batch_size > 0;
  for (const kserve::AnswerForm::Output& output : form.outputs) {
    if (output.classes > 0) labels_from_ = model;
  }
  if (tells_load != nullptr) load_of_ = model;
  const std::shared_ptr<PendingAnswer> self = shared_from_this();
  request.cancellation = std::shared_ptr<CancellationToken>(self, &cancellation_);
  request.sink = self;
}

void PendingAnswer::AddLoad(http::Headers& headers) const {
  if (load_of_ != nullptr) tells_load->Add(*load_of_, queue_->Now(), headers);
}

kserve::ClassLabels PendingAnswer::Labels() const {
  if (labels_from_ == nullptr) return nullptr;
  return
      [this](std::string_view output, size_t index) { return labels_from_->Label(output, index); };
}

void PendingAnswer::OnResponse(std::unique_ptr<InferenceResponse> response, bool final) {
  if (response != nullptr) {
    ++response_count_;
    response_ = std::move(response);
  }
  if (!final) return;
  if (queue_->InLoopThread()) {
    Deliver();
  } else {
    queue_->Push(shared_from_this());
  }
}

Buffer PendingAnswer::OutputMemory(std::string_view output, size_t) {
  const kserve::AnswerForm::Output* wish = form.Find(output);
  return wish != nullptr && wish->in_region ? wish->region : Buffer();
}

void PendingAnswer::Deliver() {
  http::ResponseSender* sender = TakeSender();
  if (sender == nullptr) return;
  if (response_count_ != 1) {
    SendError(*sender, Internal(Concat("expected a single response, got ", response_count_)));
    return;
  }
  const std::unique_ptr<InferenceResponse> response = std::move(response_);
  if (!response->status.ok()) {
    SendFailure(*sender, *response);
  } else {
    Send(*sender, *response);  // The buffers that are sent keep what they need.
  }
}

void PendingAnswer::Abandon() {
  if (TakeSender() != nullptr) cancellation_.Cancel();
}

void PendingAnswer::Refuse(const Status& error) {
  http::ResponseSender* sender = TakeSender();
  if (sender == nullptr) return;
  cancellation_.Cancel();
  SendError(*sender, error);
}

}  // namespace tepal
