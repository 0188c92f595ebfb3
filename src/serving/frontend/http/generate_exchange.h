// One POST …/generate or …/generate_stream: the generate extension, for models with one answer.
//
// A stream is one server-sent event, "data: {…}", since there is one answer; what goes wrong once
// the model has the request is such an event too.

#pragma once

#include <memory>

#include "network/http/body_collector.h"
#include "serving/frontend/http/infer_exchange.h"
#include "serving/frontend/http/routes.h"
#include "serving/frontend/pending_answer.h"

namespace tepal {

class GenerateAnswer final : public PendingAnswer {
 public:
  using PendingAnswer::PendingAnswer;

  bool streams = false;   // Answers are events.
  bool accepted = false;  // The model has the request: what fails now is 400, as Triton has it.

 protected:
  void Send(http::ResponseSender& sender, const InferenceResponse& response) override;
  void SendError(http::ResponseSender& sender, const Status& error) override;
};

class GenerateExchange final : public http::RequestReceiver {
 public:
  GenerateExchange(const InferExchange::Door& door, Route route, int64_t version,
                   const http::RequestHead& head, http::ResponseSender& sender);
  ~GenerateExchange() override { answer_->Abandon(); }

  std::span<std::byte> BodyRoom(size_t expected) override { return body_.BodyRoom(expected); }
  void OnBody(size_t bytes) override { body_.OnBody(bytes); }
  void OnRequestEnd(const http::Headers& trailers) override { body_.OnRequestEnd(trailers); }
  void OnReset(const Status& why) override;

 private:
  void Begin(const Buffer& body);
  Status Infer(const Buffer& body, GenerateAnswer& answer);

  const InferExchange::Door& door_;
  const Route route_;
  const int64_t version_;
  const Instant received_;
  std::vector<Parameter> forwarded_;  // From the head.
  const std::shared_ptr<GenerateAnswer> answer_;
  http::CollectingRequest body_;
};

}  // namespace tepal
