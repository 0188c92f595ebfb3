// The answer to one inference over HTTP.

#pragma once

#include <string>
#include <string_view>

#include "network/http/compression.h"
#include "serving/frontend/pending_answer.h"

namespace tepal {

class InferAnswer final : public PendingAnswer {
 public:
  using PendingAnswer::PendingAnswer;

  // Set before the request is given away.
  http::Encoding encoding = http::Encoding::kIdentity;
  std::string load_report;     // Value of endpoint-load-metrics; empty: not sent.
  bool server_timing = false;  // Say where the time went.

  // Loop thread; in place of any other answer.
  void RefuseTooLarge(std::string_view message);
  void RefuseEncoding();  // Of the request's body: says which ones we know.

 protected:
  void Send(http::ResponseSender& sender, const InferenceResponse& response) override;
  void SendError(http::ResponseSender& sender, const Status& error) override;

 private:
  Status Write(const InferenceResponse& response, http::ResponseHead& head, BufferList& body);
};

}  // namespace tepal
