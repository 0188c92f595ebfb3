// The answer to one inference over gRPC.

#pragma once

#include "serving/frontend/pending_answer.h"

namespace tepal {

class GrpcInferAnswer final : public PendingAnswer {
 public:
  using PendingAnswer::PendingAnswer;

 protected:
  void Send(http::ResponseSender& sender, const InferenceResponse& response) override;
  void SendError(http::ResponseSender& sender, const Status& error) override;
};

}  // namespace tepal
