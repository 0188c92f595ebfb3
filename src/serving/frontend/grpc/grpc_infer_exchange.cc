#include "serving/frontend/grpc/grpc_infer_exchange.h"

#include <utility>

#include "serving/frontend/model_version_text.h"
#include "serving/kserve/grpc_infer.h"

namespace tepal {

GrpcInferExchange::GrpcInferExchange(const Door& door, const http::RequestHead& head,
                                     http::ResponseSender& sender)
    : door_(door),
      received_(door.loop.Now()),
      answer_(std::make_shared<GrpcInferAnswer>(door.completions, sender)),
      unary_(head, sender, door.message_bytes_max,
             [this](Buffer message) { Begin(std::move(message)); }) {
  const std::optional<std::string_view> text = head.headers.Get("grpc-timeout");
  const std::optional<Duration> timeout =
      text.has_value() ? http::ParseGrpcTimeout(*text) : std::nullopt;
  if (timeout.has_value() && *timeout < Instant::max() - received_) {
    deadline_ = received_ + *timeout;
  }
}

GrpcInferExchange::~GrpcInferExchange() {
  if (deadline_timer_ != 0) door_.loop.Cancel(deadline_timer_);
  answer_->Abandon();
}

void GrpcInferExchange::OnReset(const Status& why) {
  answer_->Abandon();
  unary_.OnReset(why);
}

void GrpcInferExchange::Begin(Buffer message) {
  auto request = std::make_unique<InferenceRequest>();
  const std::shared_ptr<GrpcInferAnswer> answer = answer_;
  if (deadline_ != Instant::max()) {
    deadline_timer_ = door_.loop.RunAt(deadline_, [pending = std::weak_ptr(answer_)] {
      if (const auto late = pending.lock()) late->Refuse(DeadlineExceeded("Deadline Exceeded"));
    });
  }
  const Status status = Infer(message, request);
  // Answering may have ended this exchange: nothing of it is touched from here on.
  if (!status.ok()) answer->Refuse(status);
}

Status GrpcInferExchange::Infer(const Buffer& message, std::unique_ptr<InferenceRequest>& request) {
  ASSIGN_OR_RETURN(const kserve::GrpcInferRequest parsed, kserve::GrpcInferRequest::Parse(message));
  ASSIGN_OR_RETURN(const int64_t version, ParseModelVersion(parsed.model_version()));
  ASSIGN_OR_RETURN(const std::shared_ptr<ServedModel> model,
                   door_.core.Find(parsed.model_name(), version));
  if (model->config().decoupled) {
    return Unimplemented("ModelInfer RPC doesn't support models with decoupled transaction policy");
  }
  request->model_name = parsed.model_name();
  request->requested_version = version;
  request->times.received = received_;
  request->deadline = deadline_;
  RETURN_IF_ERROR(parsed.Fill(*request, answer_->form));
  answer_->Attach(*request, model);
  return door_.core.Infer(std::move(request));
}

}  // namespace tepal
