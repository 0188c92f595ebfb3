// One ModelInfer call: a unary request, its deadline and its cancellation.

#pragma once

#include <memory>
#include <optional>

#include "core/env/event_loop.h"
#include "network/http/grpc.h"
#include "serving/frontend/completion_queue.h"
#include "serving/frontend/grpc/grpc_infer_answer.h"
#include "serving/server_core/server_core.h"

namespace tepal {

class GrpcInferExchange final : public http::RequestReceiver {
 public:
  // What every exchange of one loop shares; outlives them.
  struct Door {
    ServerCore& core;
    env::EventLoop& loop;
    size_t message_bytes_max;
    std::shared_ptr<CompletionQueue> completions;
  };

  GrpcInferExchange(const Door& door, const http::RequestHead& head, http::ResponseSender& sender);
  ~GrpcInferExchange() override;

  std::span<std::byte> BodyRoom(size_t expected) override { return unary_.BodyRoom(expected); }
  void OnBody(size_t bytes) override { unary_.OnBody(bytes); }
  void OnRequestEnd(const http::Headers& trailers) override { unary_.OnRequestEnd(trailers); }
  void OnReset(const Status& why) override;

 private:
  void Begin(Buffer message);
  Status Infer(const Buffer& message, std::unique_ptr<InferenceRequest>& request);

  const Door& door_;
  const Instant received_;
  std::shared_ptr<GrpcInferAnswer> answer_;
  Instant deadline_ = Instant::max();
  env::EventLoop::TimerId deadline_timer_ = 0;
  http::GrpcUnaryRequest unary_;
};

}  // namespace tepal
