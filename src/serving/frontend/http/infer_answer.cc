#include "serving/frontend/http/infer_answer.h"

#include <utility>

#include "core/base/text.h"
#include "network/http/status_map.h"
#include "serving/kserve/infer_response.h"

namespace tepal {

void InferAnswer::OnResponse(std::unique_ptr<InferenceResponse> response, bool final) {
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

void InferAnswer::Deliver() {
  http::ResponseSender* sender = std::exchange(sender_, nullptr);
  if (sender == nullptr) return;
  http::ResponseHead head;
  BufferList body;
  if (const Status status = Write(head, body); !status.ok()) {
    http::RespondError(*sender, status);
    return;
  }
  response_ = nullptr;  // The buffers that are sent keep what they need.
  sender->Respond(std::move(head), std::move(body));
}

Status InferAnswer::Write(http::ResponseHead& head, BufferList& body) {
  if (response_count_ != 1) {
    return Internal(Concat("expected a single response, got ", response_count_));
  }
  RETURN_IF_ERROR(response_->status);
  kserve::ClassLabels labels;
  if (labels_from != nullptr) {
    labels = [this](std::string_view output, size_t index) {
      return labels_from->Label(output, index);
    };
  }
  ASSIGN_OR_RETURN(kserve::InferAnswer answer,
                   kserve::WriteInferResponse(*response_, form, batched, labels));
  if (answer.binary) {
    head.headers.Add("content-type", "application/octet-stream");
    head.headers.Add("inference-header-content-length", Concat(answer.json_size));
  } else {
    head.headers.Add("content-type", "application/json");
  }
  if (!load_report.empty()) head.headers.Add("endpoint-load-metrics", load_report);
  if (encoding == kserve::Encoding::kIdentity) {
    body = std::move(answer.body);
  } else {
    head.headers.Add("content-encoding", kserve::EncodingName(encoding));
    body.push_back(kserve::Compress(encoding, answer.body));
  }
  return {};
}

void InferAnswer::Abandon() {
  if (std::exchange(sender_, nullptr) != nullptr) cancellation.Cancel();
}

void InferAnswer::RefuseEncoding() {
  http::ResponseSender* sender = std::exchange(sender_, nullptr);
  if (sender == nullptr) return;
  http::ResponseHead head;
  head.status = http::HttpStatus(StatusCode::kUnimplemented);
  head.headers.Add("content-type", "application/json");
  head.headers.Add("accept-encoding", "gzip, deflate");
  BufferList body = {Buffer::Copy(http::ErrorBody("Unsupported compression type"))};
  sender->Respond(std::move(head), std::move(body));
}

void InferAnswer::Refuse(const Status& error) {
  Refuse(http::HttpStatus(error.code()), error.message());
}

void InferAnswer::Refuse(int http_status, std::string_view message) {
  if (http::ResponseSender* sender = std::exchange(sender_, nullptr); sender != nullptr) {
    http::RespondError(*sender, http_status, message);
  }
}

}  // namespace tepal
