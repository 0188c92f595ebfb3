// The answer to one ModelInfer call.

#pragma once

#include <memory>
#include <utility>

#include "network/http/grpc.h"
#include "serving/frontend/pending_answer.h"

namespace tepal {

class GrpcInferAnswer final : public PendingAnswer {
 public:
  GrpcInferAnswer(std::shared_ptr<CompletionQueue> queue, http::ResponseSender& sender,
                  http::GrpcCompression compression)
      : PendingAnswer(std::move(queue), sender), compression_(compression) {}

 protected:
  void Send(http::ResponseSender& sender, const InferenceResponse& response) override;
  void SendError(http::ResponseSender& sender, const Status& error) override;

 private:
  const http::GrpcCompression compression_;
};

}  // namespace tepal
