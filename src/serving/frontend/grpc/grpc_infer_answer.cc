#include "serving/frontend/grpc/grpc_infer_answer.h"

#include <utility>

#include "network/http/grpc.h"
#include "serving/kserve/grpc_infer.h"

namespace tepal {

void GrpcInferAnswer::Send(http::ResponseSender& sender, const InferenceResponse& response) {
  kserve::ClassLabels labels = Labels();
  Result<BufferList> message = kserve::WriteGrpcInferResponse(response, form, batched(), labels);
  if (message.ok()) {
    http::GrpcRespond(sender, std::move(message).value(), nullptr, compression_,
                      load_.Trailers(loop_.Now()));
  } else {
    SendError(sender, message.status());
  }
}

void GrpcInferAnswer::SendError(http::ResponseSender& sender, const Status& error) {
  http::GrpcRespondError(sender, error, load_.Trailers(loop_.Now()));
}

}  // namespace tepal
