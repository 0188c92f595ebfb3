#include "serving/frontend/http/generate_exchange.h"

#include <string>
#include <utility>

#include "core/base/text.h"
#include "network/http/status_map.h"
#include "serving/kserve/generate.h"

namespace tepal {
namespace {

void Respond(http::ResponseSender& sender, http::ResponseHead head, bool event, Buffer json) {
  BufferList body;
  if (event) {
    head.headers.Add("content-type", "text/event-stream; charset=utf-8");
    body = {Buffer::Static("data: "), std::move(json), Buffer::Static("\n\n")};
  } else {
    head.headers.Add("content-type", "application/json");
    body = {std::move(json)};
  }
  sender.Respond(std::move(head), std::move(body));
}

}  // namespace

void GenerateAnswer::Send(http::ResponseSender& sender, const InferenceResponse& response) {
  Result<Buffer> json = kserve::WriteGenerateResponse(response);
  if (!json.ok()) {
    SendError(sender, json.status());
    return;
  }
  http::ResponseHead head;
  AddLoad(head.headers);
  Respond(sender, std::move(head), streams, std::move(json).value());
}

void GenerateAnswer::SendError(http::ResponseSender& sender, const Status& error) {
  constexpr int kBadRequest = 400;
  http::ResponseHead head;
  head.status = accepted ? kBadRequest : http::HttpStatus(error.code());
  AddLoad(head.headers);
  Respond(sender, std::move(head), accepted && streams,
          Buffer::Copy(http::ErrorBody(error.message())));
}

GenerateExchange::GenerateExchange(const InferExchange::Door& door, Route route, int64_t version,
                                   const http::RequestHead& head, http::ResponseSender& sender)
    : door_(door),
      route_(std::move(route)),
      version_(version),
      received_(door.loop.Now()),
      answer_(std::make_shared<GenerateAnswer>(door.completions, sender)),
      body_(head, door.options.body_bytes_max, sender,
            [this](const Buffer& body) { Begin(body); }) {
  if (AsksModelLoad(head.headers)) answer_->tells_load = &door.model_loads;
  door.options.forwarded_headers.Forward(head.headers, forwarded_);
}

void GenerateExchange::OnReset(const Status& why) {
  answer_->Abandon();
  body_.OnReset(why);
}

void GenerateExchange::Begin(const Buffer& body) {
  const std::shared_ptr<GenerateAnswer> answer = answer_;
  const Status status = Infer(body, *answer);
  // Answering may have ended this exchange: nothing of it is touched from here on.
  if (status.ok()) return;
  answer->accepted = false;
  answer->Refuse(status);
}

Status GenerateExchange::Infer(const Buffer& body, GenerateAnswer& answer) {
  ASSIGN_OR_RETURN(const std::shared_ptr<ServedModel> model,
                   door_.core.Find(route_.model, version_));
  if (model->config().decoupled) {
    return Unimplemented(Concat("model '", route_.model,
                                "' is decoupled, which the generate extension does not support "
                                "yet"));
  }
  auto request = std::make_unique<InferenceRequest>();
  request->model_name = route_.model;
  request->requested_version = version_;
  request->times.received = received_;
  RETURN_IF_ERROR(kserve::ReadGenerateRequest(body.text(), model->config(), *request));
  for (Parameter& parameter : forwarded_) request->parameters.push_back(std::move(parameter));
  answer.Attach(*request, model);
  answer.streams = route_.kind == Route::Kind::kGenerateStream;
  answer.accepted = true;  // Before: the answer may come at once.
  return door_.core.Infer(std::move(request));
}

}  // namespace tepal
