#include "serving/frontend/grpc/grpc_infer_answer.h"

#include <utility>

#include "network/http/grpc.h"
#include "serving/kserve/grpc_infer.h"

namespace tepal {

void GrpcInferAnswer::Send(http::ResponseSender& sender, const InferenceResponse& response) {
  kserve::ClassLabels labels = Labels();
  Result<BufferList> message = kserve::WriteGrpcInferResponse(response, form, batched(), labels);
  if (message.ok()) {
    http::GrpcRespond(sender, std::move(message).value(), nullptr, compression_, Trailers());
  } else {
    SendError(sender, message.status());
  }
}

void GrpcInferAnswer::SendError(http::ResponseSender& sender, const Status& error) {
  http::GrpcRespondError(sender, error, Trailers());
}

const http::Headers* GrpcInferAnswer::Trailers() {
  const http::Headers* const orca = load_.Trailers(loop_.Now());
  if (tells_load == nullptr) return orca;
  trailers_ = orca != nullptr ? *orca : http::Headers();
  AddLoad(*trailers_);
  return trailers_->empty() ? nullptr : &*trailers_;
}

}  // namespace tepal
