#include "serving/frontend/grpc/grpc_infer_exchange.h"

#include <utility>

namespace tepal {

GrpcInferExchange::GrpcInferExchange(const GrpcInferDoor& door, const http::RequestHead& head,
                                     http::ResponseSender& sender)
    : door_(door),
      call_(door, head),
      answer_(std::make_shared<GrpcInferAnswer>(
          door.completions, sender,
          http::GrpcAnswerCompression(head.headers, door.options.compression),
          GrpcLoadReport(door.options.load_reporter, door.options.load_report_always, head.headers),
          door.loop)),
      unary_(head, sender, door.options.message_bytes_max,
             [this](const Buffer& message) { Begin(message); }) {
  if (AsksModelLoad(head.headers)) answer_->tells_load = &door.model_loads;
}

GrpcInferExchange::~GrpcInferExchange() {
  if (deadline_timer_ != 0) door_.loop.Cancel(deadline_timer_);
  answer_->Abandon();
}

void GrpcInferExchange::OnReset(const Status& why) {
  answer_->Abandon();
  unary_.OnReset(why);
}

void GrpcInferExchange::Begin(const Buffer& message) {
  const std::shared_ptr<GrpcInferAnswer> answer = answer_;
  if (call_.deadline != Instant::max()) {
    deadline_timer_ = door_.loop.RunAt(call_.deadline, [pending = std::weak_ptr(answer_)] {
      if (const auto late = pending.lock()) late->Refuse(DeadlineExceeded("Deadline Exceeded"));
    });
  }
  const Result<kserve::GrpcInferRequest> parsed = kserve::GrpcInferRequest::Parse(message);
  const Status status =
      parsed.ok() ? GiveToModel(door_, call_, *parsed, false, *answer) : parsed.status();
  // Answering may have ended this exchange: nothing of it is touched from here on.
  if (!status.ok()) answer->Refuse(status);
}

}  // namespace tepal
