#include "serving/frontend/http/infer_answer.h"

#include <utility>

#include "core/base/text.h"
#include "network/http/status_map.h"
#include "serving/frontend/http/server_timing.h"

namespace tepal {

void InferAnswer::Send(http::ResponseSender& sender, const InferenceResponse& response) {
  http::ResponseHead head;
  BufferList body;
  if (const Status status = Write(response, head, body); !status.ok()) {
    SendError(sender, status);
    return;
  }
  sender.Respond(std::move(head), std::move(body));
}

Status InferAnswer::Write(const InferenceResponse& response, http::ResponseHead& head,
                          BufferList& body) {
  kserve::ClassLabels labels = Labels();
  ASSIGN_OR_RETURN(kserve::InferAnswer answer,
                   kserve::WriteInferResponse(response, form, batched(), labels));
  if (answer.binary) {
    head.headers.Add("content-type", "application/octet-stream");
    head.headers.Add("inference-header-content-length", Concat(answer.json_size));
  } else {
    head.headers.Add("content-type", "application/json");
  }
  if (!load_report.empty()) head.headers.Add("endpoint-load-metrics", load_report);
  if (server_timing) head.headers.Add("server-timing", ServerTiming(response.times));
  AddLoad(head.headers);
  if (encoding == http::Encoding::kIdentity) {
    body = std::move(answer.body);
  } else {
    head.headers.Add("content-encoding", http::EncodingName(encoding));
    body = http::Compress(encoding, answer.body);
  }
  return {};
}

void InferAnswer::SendError(http::ResponseSender& sender, const Status& error) {
  http::Headers load;
  AddLoad(load);
  http::RespondError(sender, error, &load);
}

void InferAnswer::RefuseTooLarge(std::string_view message) {
  constexpr int kContentTooLarge = 413;
  if (http::ResponseSender* sender = TakeSender(); sender != nullptr) {
    http::RespondError(*sender, kContentTooLarge, message);
  }
}

void InferAnswer::RefuseEncoding() {
  http::ResponseSender* sender = TakeSender();
  if (sender == nullptr) return;
  http::ResponseHead head;
  head.status = http::HttpStatus(StatusCode::kUnimplemented);
  head.headers.Add("content-type", "application/json");
  head.headers.Add("accept-encoding", "gzip, deflate");
  BufferList body = {Buffer::Copy(http::ErrorBody("Unsupported compression type"))};
  sender->Respond(std::move(head), std::move(body));
}

}  // namespace tepal
