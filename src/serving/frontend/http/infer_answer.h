// The answer to one inference over HTTP, from the moment the request is given to server_core.
//
// Takes the response on whatever thread it comes, brings it to the connection's loop, writes it in
// the form the client asked for and sends it. The client may have gone by then: nobody is answered.

#pragma once

#include <memory>
#include <string>

#include "network/http/stream.h"
#include "serving/frontend/completion_queue.h"
#include "serving/inference/request.h"
#include "serving/kserve/compression.h"
#include "serving/kserve/infer_request.h"
#include "serving/server_core/server_core.h"

namespace tepal {

class InferAnswer final : public ResponseSink,
                          public Completion,
                          public std::enable_shared_from_this<InferAnswer> {
 public:
  InferAnswer(std::shared_ptr<CompletionQueue> queue, http::ResponseSender& sender)
      : queue_(std::move(queue)), sender_(&sender) {}

  // Set before the request is given away.
  kserve::AnswerForm form;
  kserve::Encoding encoding = kserve::Encoding::kIdentity;
  bool batched = false;
  std::shared_ptr<ServedModel> labels_from;  // Only where classes are asked for.
  std::string load_report;                   // Value of endpoint-load-metrics; empty: not sent.
  CancellationToken cancellation;

  void OnResponse(std::unique_ptr<InferenceResponse> response, bool final) override;
  void Deliver() override;

  // Loop thread: the client has gone; what is still under way is cancelled.
  void Abandon();

  // Loop thread: the request was refused; the answer is this error.
  void Refuse(const Status& error);
  void Refuse(int http_status, std::string_view message);
  void RefuseEncoding();  // Of the request's body: says which ones we know.

 private:
  Status Write(http::ResponseHead& head, BufferList& body);

  const std::shared_ptr<CompletionQueue> queue_;
  http::ResponseSender* sender_;  // Loop thread only; null once answered or abandoned.
  std::unique_ptr<InferenceResponse> response_;
  int response_count_ = 0;
};

}  // namespace tepal
