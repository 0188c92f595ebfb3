// The answer to one inference, from the moment the request is given to server_core.
//
// Takes the response on whatever thread it comes and brings it to the connection's loop, where the
// protocol's own class writes and sends it. The client may have gone by then: nobody is answered.

#pragma once

#include <memory>
#include <string>

#include "network/http/stream.h"
#include "serving/frontend/completion_queue.h"
#include "serving/frontend/model_load_report.h"
#include "serving/inference/request.h"
#include "serving/kserve/infer_request.h"
#include "serving/kserve/infer_response.h"
#include "serving/server_core/server_core.h"

namespace tepal {

class PendingAnswer : public ResponseSink,
                      public Completion,
                      public std::enable_shared_from_this<PendingAnswer> {
 public:
  PendingAnswer(std::shared_ptr<CompletionQueue> queue, http::ResponseSender& sender)
      : queue_(std::move(queue)), sender_(&sender) {}

  kserve::AnswerForm form;  // Set before the request is given away, as is what Attach sets.
  ModelLoadReporter* tells_load = nullptr;  // Set before Attach: says how loaded the model is.

  // Makes this the sink of `request`, and what cancels it; remembers what of `model` the answer
  // needs.
  void Attach(InferenceRequest& request, const std::shared_ptr<ServedModel>& model);

  void OnResponse(std::unique_ptr<InferenceResponse> response, bool final) override;
  void Deliver() override;
  Buffer OutputMemory(std::string_view output, size_t size) override;

  // Loop thread: the client has gone; what is still under way is cancelled.
  void Abandon();

  // Loop thread: answers with an error in place of the response; cancels what is under way.
  void Refuse(const Status& error);

 protected:
  // On the loop; at most one of them, once.
  virtual void Send(http::ResponseSender& sender, const InferenceResponse& response) = 0;
  virtual void SendError(http::ResponseSender& sender, const Status& error) = 0;
  // The same for an error that came as the response.
  virtual void SendFailure(http::ResponseSender& sender, const InferenceResponse& response) {
    SendError(sender, response.status);
  }

  // The sender, for the one answer there is; null when it was answered or abandoned before.
  http::ResponseSender* TakeSender() { return std::exchange(sender_, nullptr); }

  // The report that was asked for; nothing when there is none, or no model.
  void AddLoad(http::Headers& headers) const;

  bool batched() const { return batched_; }
  kserve::ClassLabels Labels() const;

 private:
  const std::shared_ptr<CompletionQueue> queue_;
  http::ResponseSender* sender_;  // Loop thread only.
  CancellationToken cancellation_;
  bool batched_ = false;
  std::shared_ptr<ServedModel> labels_from_;  // Only where classes are asked for.
  std::shared_ptr<ServedModel> load_of_;      // Only where that is asked for.
  std::unique_ptr<InferenceResponse> response_;
  int response_count_ = 0;
};

}  // namespace tepal
