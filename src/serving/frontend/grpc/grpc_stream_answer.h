// The answer to one request of a stream: kept until the answers before it have been sent.

#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/base/function.h"
#include "serving/frontend/pending_answer.h"

namespace tepal {

class GrpcStreamAnswer final : public PendingAnswer {
 public:
  // `on_ready` runs on the loop when message() has come. `request_bytes`: what the request holds.
  GrpcStreamAnswer(std::shared_ptr<CompletionQueue> queue, http::ResponseSender& sender,
                   size_t request_bytes, Function<void()> on_ready)
      : PendingAnswer(std::move(queue), sender),
        request_bytes_(request_bytes),
        on_ready_(std::move(on_ready)) {}

  std::string id;  // The request's, for errors that no model has answered.

  size_t request_bytes() const { return request_bytes_; }
  std::optional<BufferList>& message() { return message_; }
  // What a model has said; not for requests that none has begun with.
  const Status& failure() const { return failure_; }

 protected:
  void Send(http::ResponseSender& sender, const InferenceResponse& response) override;
  void SendFailure(http::ResponseSender& sender, const InferenceResponse& response) override;
  void SendError(http::ResponseSender& sender, const Status& error) override;

 private:
  void Keep(BufferList message);
  void KeepFailure(const Status& error, const InferenceResponse& response);

  const size_t request_bytes_;
  Function<void()> on_ready_;
  std::optional<BufferList> message_;
  Status failure_;
};

}  // namespace tepal
