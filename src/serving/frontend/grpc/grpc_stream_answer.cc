#include "serving/frontend/grpc/grpc_stream_answer.h"

#include <utility>

#include "serving/kserve/grpc_infer.h"

namespace tepal {

void GrpcStreamAnswer::Keep(BufferList message) {
  message_ = std::move(message);
  on_ready_();
}

void GrpcStreamAnswer::Send(http::ResponseSender&, const InferenceResponse& response) {
  kserve::ClassLabels labels = Labels();
  Result<BufferList> message = kserve::WriteGrpcStreamResponse(response, form, batched(), labels);
  if (!message.ok()) return KeepFailure(message.status(), response);
  Keep(std::move(message).value());
}

void GrpcStreamAnswer::SendFailure(http::ResponseSender&, const InferenceResponse& response) {
  KeepFailure(response.status, response);
}

void GrpcStreamAnswer::KeepFailure(const Status& error, const InferenceResponse& response) {
  failure_ = error;
  Keep({kserve::WriteGrpcStreamError(error, response.model_name, response.id)});
}

void GrpcStreamAnswer::SendError(http::ResponseSender&, const Status& error) {
  Keep({kserve::WriteGrpcStreamError(error, {}, id)});
}

}  // namespace tepal
