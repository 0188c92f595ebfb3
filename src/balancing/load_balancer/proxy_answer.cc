// What comes back from an endpoint, and what the client gets.

#include <utility>

#include "balancing/load_balancer/proxy_exchange.h"
#include "core/base/check.h"
#include "core/base/text.h"
#include "core/json/writer.h"
#include "network/http/grpc_server.h"

namespace tepal::lb {

namespace {

constexpr uint32_t kHttp2Cancel = 8;

}  // namespace

// From the endpoint.

// Whether the answer is collected before it is passed on, so that it can still come from elsewhere.
bool ProxyExchange::MayHold(const http::ResponseHead& answer) const {
  if (!answer.has_body) return true;
  if (grpc_) return route_ != RouteKind::kCall;  // A unary call's; its length is not known yet.
  return answer.content_length.has_value() && *answer.content_length <= options().hold_bytes_max &&
         route_ != RouteKind::kStream;
}

void ProxyExchange::OnHead(ProxyAttempt& attempt) {
  Outrun(attempt);
  ProxyAttempt::Answer& answer = attempt.answer;
  SetRequestId(answer.head.headers);
  answer.holding = MayHold(answer.head);
  answer.body.emplace(answer.head.content_length, answer.holding ? options().hold_bytes_max : 0,
                      handler_.shared_->hold_budget);
  if (!answer.head.has_body) return;
  const bool no_room = answer.body->keep_max() == 0 && answer.head.content_length != 0;
  if (!answer.holding || no_room) StreamAnswer(attempt);
}

// From here on the client has part of the answer.
void ProxyExchange::StreamAnswer(ProxyAttempt& attempt) {
  ProxyAttempt::Answer& answer = attempt.answer;
  answer.holding = false;
  if (Beside(attempt) != nullptr ||
      JudgeTry(Facts(attempt, TryEnd::kAnswered), options().tries_max) == RetryVerdict::kAgain) {
    return EndTry(attempt, TryEnd::kAnswered);
  }
  answer.streamed = true;
  BufferList held = answer.body->pieces();
  answer.body->Drop();
  if (request_ended_) body_.Drop();
  if (sender_ == nullptr) return;
  sender_->Start(answer.head);
  CountSent(TotalSize(held));
  if (!held.empty()) sender_->Write(std::move(held));
}

bool ProxyExchange::ClientTakesMore() const {
  return sender_ == nullptr || sender_->unsent_bytes() < handler_.client_high_water_;
}

void ProxyExchange::PassOnPiece(Buffer piece) {
  if (sender_ == nullptr) return;
  CountSent(piece.size());
  BufferList list;
  list.push_back(std::move(piece));
  sender_->Write(std::move(list));
}

// The client's answer.

void ProxyExchange::PassOn(ProxyAttempt& attempt, const http::Headers* trailers) {
  const int status = attempt.answer.status;
  const bool streamed = attempt.answer.streamed;
  http::ResponseSender* const sender = std::exchange(sender_, nullptr);
  if (sender == nullptr) return Done(0);
  if (attempt.grant().hedge) statistics().hedges_won.Add();
  if (cut_short_ && status == 200) {
    const Status why = Unavailable("the balancer is stopping; what came before it is answered");
    streamed ? http::GrpcFinish(*sender, why) : http::GrpcRespondError(*sender, why);
  } else if (streamed) {
    sender->Finish(trailers != nullptr && !trailers->empty() ? trailers : nullptr);
  } else {
    PassOnHeld(attempt, *sender, trailers);
  }
  Done(status);
}

void ProxyExchange::PassOnHeld(ProxyAttempt& attempt, http::ResponseSender& sender,
                               const http::Headers* trailers) {
  http::ResponseHead& head = attempt.answer.head;
  if (SpeaksOfOneReplica(head_.path())) {
    head.headers.Set("x-tepal-endpoint", attempt.address().ToString());
  }
  CountSent(attempt.answer.body->size());
  BufferList body = attempt.answer.body->pieces();
  if (grpc_ && head.has_body) {
    sender.Start(std::move(head));
    if (!body.empty()) sender.Write(std::move(body));
    sender.Finish(trailers);
  } else if (head_.method == "HEAD" || (!head.has_body && !grpc_)) {
    sender.Start(std::move(head));
    sender.Finish();
  } else {
    sender.Respond(std::move(head), std::move(body));  // A gRPC error may be a head alone.
  }
}

void ProxyExchange::Fail(const ProxyAttempt& attempt, TryEnd end) {
  const bool late = end == TryEnd::kTimedOut || end == TryEnd::kSuspected;
  AnswerError(late ? 504 : 502,
              Concat("endpoint ", attempt.address().ToString(), " failed: ", last_error_));
}

// The client has part of an answer that will never be whole.
void ProxyExchange::BreakOff(const ProxyAttempt& attempt) {
  statistics().broken_off.Add();
  broken_off_ = true;
  http::ResponseSender* const sender = std::exchange(sender_, nullptr);
  if (sender != nullptr && grpc_) {
    http::GrpcFinish(*sender, Unavailable(Concat("endpoint ", attempt.address().ToString(),
                                                 " failed within its answer: ", last_error_)));
  } else if (sender != nullptr) {
    sender->Reset(kHttp2Cancel);
  }
  Done(0);
}

void ProxyExchange::AnswerError(int status, std::string message) {
  if (status >= 500) statistics().failed.Add();
  if (options().access_log != nullptr) log_error_ = message;
  http::Headers headers;
  if (const auto id = head_.headers.Get("x-request-id")) headers.Add("x-request-id", *id);
  http::ResponseSender* const sender = std::exchange(sender_, nullptr);
  if (sender != nullptr && grpc_) {
    http::GrpcRespondError(*sender, Status(GrpcCodeOfError(status), std::move(message)), &headers);
  } else if (sender != nullptr) {
    http::ResponseHead head;
    head.status = status;
    head.headers = std::move(headers);
    head.headers.Add("content-type", "application/json");
    if (status == 503) head.headers.Add("retry-after", "1");
    if (status == 401) head.headers.Add("www-authenticate", "Bearer");
    json::Writer text;
    text.BeginObject().Key("error").String(message).EndObject();
    BufferList body;
    body.push_back(Buffer::Copy(text.text()));
    sender->Respond(std::move(head), std::move(body));
  }
  Done(status);
}

}  // namespace tepal::lb
