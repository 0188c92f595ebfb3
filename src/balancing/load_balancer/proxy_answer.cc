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

// The endpoint's side.

// Whether the answer is collected before it is passed on, so that it can still come from elsewhere.
bool ProxyExchange::MayHold() const {
  if (!answer_.has_body) return true;
  if (grpc_) return route_ != RouteKind::kCall;  // A unary call's; its length is not known yet.
  return answer_.content_length.has_value() &&
         *answer_.content_length <= options().hold_bytes_max && route_ != RouteKind::kStream;
}

void ProxyExchange::OnAnswer(http::ResponseHead head) {
  if (try_position_.has_value()) handler_.RemoveTry(*std::exchange(try_position_, std::nullopt));
  answer_ = std::move(head);
  TakeLoad(answer_.headers);
  SetRequestId();
  answer_status_ = answer_.status;
  holding_ = MayHold();
  answer_body_.emplace(answer_.content_length, holding_ ? options().hold_bytes_max : 0,
                       handler_.shared_->hold_budget);
  if (!answer_.has_body) return;
  if (!holding_ || (answer_body_->keep_max() == 0 && answer_.content_length != 0)) StreamAnswer();
}

// From here on the client has part of the answer.
void ProxyExchange::StreamAnswer() {
  holding_ = false;
  if (JudgeTry(Facts(TryEnd::kAnswered), options().tries_max) == RetryVerdict::kAgain) {
    return EndTry(TryEnd::kAnswered);
  }
  answer_begun_ = true;
  BufferList held = answer_body_->pieces();
  answer_body_->Drop();
  if (request_ended_) body_.Drop();
  if (sender_ == nullptr) return;
  sender_->Start(answer_);
  CountSent(TotalSize(held));
  if (!held.empty()) sender_->Write(std::move(held));
}

std::span<std::byte> ProxyExchange::AnswerRoom(size_t expected) {
  if (!holding_ && sender_ != nullptr && sender_->unsent_bytes() >= handler_.client_high_water_) {
    answer_paused_ = true;
    return {};
  }
  return answer_body_->Room(expected);
}

void ProxyExchange::OnAnswerBody(size_t bytes) {
  grant_.traffic->bytes_received.fetch_add(bytes, std::memory_order_relaxed);
  Buffer piece = answer_body_->Received(bytes);
  if (holding_) {
    if (answer_body_->size() > answer_body_->keep_max()) StreamAnswer();
    return;
  }
  if (sender_ == nullptr) return;
  CountSent(bytes);
  BufferList list;
  list.push_back(std::move(piece));
  sender_->Write(std::move(list));
}

void ProxyExchange::OnAnswerEnd(const http::Headers& trailers) {
  const http::Headers* passed_on = &trailers;
  if (trailers.Has(kLoadField)) {
    trailers_ = trailers;
    TakeLoad(*trailers_);
    passed_on = &*trailers_;
  }
  if (grpc_) answer_status_ = HttpStatusOfGrpcAnswer(answer_, passed_on);
  EndTry(TryEnd::kAnswered, passed_on);
}

// What an endpoint says of its load is for us alone.
void ProxyExchange::TakeLoad(http::Headers& headers) {
  const auto text = headers.Get(kLoadField);
  if (!text.has_value()) return;
  load_ = ReadModelLoad(*text);
  (load_.has_value() ? statistics().load_reports : statistics().load_malformed).Add();
  headers.Remove(kLoadField);
}

// As Triton and we say it; the endpoint has done nothing for the request.
bool ProxyExchange::SaysUnknownModel(const http::Headers* trailers) const {
  constexpr std::string_view kWords = "unknown model";
  constexpr size_t kErrorBytesMax = 4096;
  if (answer_status_ != 404 && answer_status_ != 400) return false;
  if (facts_.model.empty() || answer_begun_) return false;
  if (grpc_) {
    auto message = answer_.headers.Get("grpc-message");
    if (!message.has_value() && trailers != nullptr) message = trailers->Get("grpc-message");
    return message.has_value() && message->find(kWords) != std::string_view::npos;
  }
  if (!answer_body_.has_value() || answer_body_->size() > kErrorBytesMax) return false;
  return Flatten(answer_body_->pieces()).text().find(kWords) != std::string_view::npos;
}

bool ProxyExchange::MayFindModelElsewhere() const {
  if (facts_.versioned || !holding_ || !body_.kept() || tries_ >= options().tries_max) return false;
  if (!Repeatable(route_) || (facts_.sequence != 0 && !facts_.sequence_start)) return false;
  std::vector<EndpointId> tried = tried_;
  tried.push_back(grant_.endpoint);
  return handler_.pool_->ElsewhereReady(facts_.model, tried, Now());
}

void ProxyExchange::OnTryFailed(const http::ResponseReceiver::Failure& failure) {
  if (sending_) {
    failed_at_once_ = failure;
    return;
  }
  last_error_ = failure.why.message();
  EndTry(failure.unprocessed ? TryEnd::kUnprocessed : TryEnd::kConnectionLost);
}

void ProxyExchange::OnEndpointRoom() { ResumeRequest(); }

// The client's answer.

void ProxyExchange::PassOn(const http::Headers* trailers) {
  const int status = answer_status_;
  http::ResponseSender* const sender = std::exchange(sender_, nullptr);
  if (sender == nullptr) return Done(0);
  if (cut_short_ && status == 200) {
    const Status why = Unavailable("the balancer is stopping; what came before it is answered");
    answer_begun_ ? http::GrpcFinish(*sender, why) : http::GrpcRespondError(*sender, why);
  } else if (answer_begun_) {
    sender->Finish(trailers != nullptr && !trailers->empty() ? trailers : nullptr);
  } else {
    PassOnHeld(*sender, trailers);
  }
  Done(status);
}

void ProxyExchange::PassOnHeld(http::ResponseSender& sender, const http::Headers* trailers) {
  if (SpeaksOfOneReplica(head_.path())) {
    answer_.headers.Set("x-tepal-endpoint", AddressOfTry().ToString());
  }
  CountSent(answer_body_->size());
  BufferList body = answer_body_->pieces();
  if (grpc_ && answer_.has_body) {
    sender.Start(std::move(answer_));
    if (!body.empty()) sender.Write(std::move(body));
    sender.Finish(trailers);
  } else if (head_.method == "HEAD" || (!answer_.has_body && !grpc_)) {
    sender.Start(std::move(answer_));
    sender.Finish();
  } else {
    sender.Respond(std::move(answer_), std::move(body));  // A gRPC error may be a head alone.
  }
}

void ProxyExchange::Fail(TryEnd end) {
  const bool late = end == TryEnd::kTimedOut || end == TryEnd::kSuspected;
  AnswerError(late ? 504 : 502,
              Concat("endpoint ", AddressOfTry().ToString(), " failed: ", last_error_));
}

// The client has part of an answer that will never be whole.
void ProxyExchange::BreakOff() {
  statistics().broken_off.Add();
  broken_off_ = true;
  http::ResponseSender* const sender = std::exchange(sender_, nullptr);
  if (sender != nullptr && grpc_) {
    http::GrpcFinish(*sender, Unavailable(Concat("endpoint ", AddressOfTry().ToString(),
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
