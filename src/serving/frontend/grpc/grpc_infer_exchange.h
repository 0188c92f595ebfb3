// One ModelInfer call: a unary request, its deadline and its cancellation.

#pragma once

#include <memory>

#include "core/env/event_loop.h"
#include "network/http/grpc.h"
#include "serving/frontend/grpc/grpc_infer_answer.h"
#include "serving/frontend/grpc/grpc_infer_call.h"

namespace tepal {

class GrpcInferExchange final : public http::RequestReceiver {
 public:
  GrpcInferExchange(const GrpcInferDoor& door, const http::RequestHead& head,
                    http::ResponseSender& sender);
  ~GrpcInferExchange() override;

  std::span<std::byte> BodyRoom(size_t expected) override { return unary_.BodyRoom(expected); }
  Buffer OpenMemory() const override { return unary_.OpenMemory(); }
  void OnBody(size_t bytes) override { unary_.OnBody(bytes); }
  void OnRequestEnd(const http::Headers& trailers) override { unary_.OnRequestEnd(trailers); }
  void OnReset(const Status& why) override;

 private:
  void Begin(const Buffer& message);

  const GrpcInferDoor& door_;
  const GrpcInferCall call_;
  std::shared_ptr<GrpcInferAnswer> answer_;
  env::EventLoop::TimerId deadline_timer_ = 0;
  http::GrpcUnaryRequest unary_;
};

}  // namespace tepal
