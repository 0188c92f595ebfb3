// The answer to one ModelInfer call.

#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "core/env/event_loop.h"
#include "network/http/grpc.h"
#include "serving/frontend/grpc/grpc_load_report.h"
#include "serving/frontend/pending_answer.h"

namespace tepal {

class GrpcInferAnswer final : public PendingAnswer {
 public:
  GrpcInferAnswer(std::shared_ptr<CompletionQueue> queue, http::ResponseSender& sender,
                  http::GrpcCompression compression, GrpcLoadReport load, env::EventLoop& loop)
      : PendingAnswer(std::move(queue), sender),
        compression_(compression),
        load_(std::move(load)),
        loop_(loop) {}

 protected:
  void Send(http::ResponseSender& sender, const InferenceResponse& response) override;
  void SendError(http::ResponseSender& sender, const Status& error) override;

 private:
  const http::GrpcCompression compression_;
  // ORCA's and ours; null when there are none. Good until the next call.
  const http::Headers* Trailers();

  GrpcLoadReport load_;
  std::optional<http::Headers> trailers_;
  env::EventLoop& loop_;
};

}  // namespace tepal
