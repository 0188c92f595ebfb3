// What becomes of the tries of a request: how each is begun, how long it may take, and what its end
// means (retry.h).

#include <algorithm>
#include <utility>

#include "balancing/load_balancer/proxy_exchange.h"
#include "core/base/text.h"
#include "core/telemetry/log.h"
#include "network/http/grpc_text.h"

namespace tepal::lb {

http::RequestHead ProxyExchange::HeadOfTry() const {
  http::RequestHead head = head_;
  if (deadline_ != Instant::max()) {
    const Duration left = std::max<Duration>(deadline_ - Now(), 1ns);
    head.headers.Set("grpc-timeout", http::FormatGrpcTimeout(left));
  }
  if (TellsLoad(route_, head_.path())) head.headers.Set(kLoadAskField, "1");
  return head;
}

// A call's answer may begin as late as it likes.
Instant ProxyExchange::LimitOf(const ProxyAttempt& attempt) const {
  if (route_ == RouteKind::kCall) return deadline_;
  Duration time = options().try_time_max;
  const Duration rescue_after = attempt.grant().rescue_after;
  const Duration hedge_after = attempt.grant().hedge_after;
  if (rescue_after > 0ns && !attempt.rescue_over) time = std::min(time, rescue_after);
  if (hedge_after > 0ns && !hedge_asked_) time = std::min(time, hedge_after);
  return std::min(attempt.begun() + time, deadline_);
}

void ProxyExchange::StartTry(const Pool::Grant& grant) {
  phase_ = Phase::kTrying;
  ++tries_;
  waited_ += Now() - std::exchange(waiting_since_, Now());
  const auto attempt = attempt_ = std::make_shared<ProxyAttempt>(*this, grant);
  attempt->Send();
  if (!attempt->left()) ResumeRequest();
}

RetryFacts ProxyExchange::Facts(const ProxyAttempt& attempt, TryEnd end) const {
  RetryFacts facts;
  facts.end = end;
  facts.status = attempt.answer.status;
  facts.route = route_;
  facts.sequence = facts_.sequence != 0;
  facts.sequence_start = facts_.sequence_start;
  facts.body_kept = body_.kept();
  facts.answer_begun = attempt.answer.streamed;
  facts.tries_begun = tries_ - tries_unprocessed_ - (end == TryEnd::kUnprocessed ? 1 : 0);
  return facts;
}

void ProxyExchange::CountTry(const ProxyAttempt& attempt, TryEnd end) {
  EndpointTraffic& traffic = *attempt.grant().traffic;
  waiting_since_ = Now();
  const Duration time = Now() - attempt.begun();
  if (options().access_log != nullptr) log_tries_.push_back({attempt.address().ToString(), time});
  if (end == TryEnd::kAnswered) {
    const ProxyAttempt::Answer& answer = attempt.answer;
    traffic.CountAnswer(answer.status, answer.head_at - attempt.begun(), time);
  } else if (end == TryEnd::kCancelled || end == TryEnd::kOutrun) {
    traffic.cancelled.fetch_add(1, std::memory_order_relaxed);
  } else {
    traffic.failures.fetch_add(1, std::memory_order_relaxed);
  }
}

void ProxyExchange::OnTryFailed(ProxyAttempt& attempt,
                                const http::ResponseReceiver::Failure& failure) {
  last_error_ = failure.why.message();
  EndTry(attempt, failure.unprocessed ? TryEnd::kUnprocessed : TryEnd::kConnectionLost);
}

// Lets go of the try and tells the pool. True: the endpoint does not know the model.
bool ProxyExchange::CloseTry(ProxyAttempt& attempt, TryEnd end, const http::Headers* trailers) {
  attempt.Leave();
  CountTry(attempt, end);
  const bool unknown = end == TryEnd::kAnswered && SaysUnknownModel(attempt, trailers);
  const std::optional<ModelLoad>& load = attempt.answer.load;
  handler_.pool_->Finish(attempt.grant(), end, attempt.answer.status, Now(),
                         {.load = load.has_value() ? &*load : nullptr,
                          .model = facts_.model,
                          .model_unknown = unknown});
  if (end == TryEnd::kUnprocessed) ++tries_unprocessed_;
  return unknown;
}

void ProxyExchange::EndTry(ProxyAttempt& attempt, TryEnd end, const http::Headers* trailers) {
  const RetryVerdict verdict = JudgeTry(Facts(attempt, end), options().tries_max);
  if (verdict == RetryVerdict::kGoOnWaiting) return;
  const bool unknown = CloseTry(attempt, end, trailers);
  if (Beside(attempt) != nullptr) return GoOnWithout(attempt);
  if (unknown && MayFindModelElsewhere(attempt)) {
    last_error_ = "it does not know the model";
    ++tries_unprocessed_;
    return TryAgain(attempt, true, end);
  }
  switch (verdict) {
    case RetryVerdict::kAgain:
      return TryAgain(attempt, false, end);
    case RetryVerdict::kBackInLine:
      return TryAgain(attempt, true, end);
    case RetryVerdict::kPassOn:
      return PassOn(attempt, trailers);
    case RetryVerdict::kBreakOff:
      return BreakOff(attempt);
    case RetryVerdict::kForget:
      return Done(0);
    case RetryVerdict::kFail:
    case RetryVerdict::kGoOnWaiting:
      return Fail(attempt, end);
  }
}

std::vector<EndpointId> ProxyExchange::TriedWith(const ProxyAttempt& attempt) const {
  std::vector<EndpointId> tried = tried_;
  tried.push_back(attempt.endpoint());
  return tried;
}

// As Triton and we say it; the endpoint has done nothing for the request.
bool ProxyExchange::SaysUnknownModel(const ProxyAttempt& attempt,
                                     const http::Headers* trailers) const {
  constexpr std::string_view kWords = "unknown model";
  constexpr size_t kErrorBytesMax = 4096;
  const ProxyAttempt::Answer& answer = attempt.answer;
  if (answer.status != 404 && answer.status != 400) return false;
  if (facts_.model.empty() || answer.streamed) return false;
  if (grpc_) {
    auto message = answer.head.headers.Get("grpc-message");
    if (!message.has_value() && trailers != nullptr) message = trailers->Get("grpc-message");
    return message.has_value() && message->find(kWords) != std::string_view::npos;
  }
  if (!answer.body.has_value() || answer.body->size() > kErrorBytesMax) return false;
  return Flatten(answer.body->pieces()).text().find(kWords) != std::string_view::npos;
}

bool ProxyExchange::MayFindModelElsewhere(const ProxyAttempt& attempt) const {
  if (facts_.versioned || !attempt.answer.holding || !body_.kept()) return false;
  if (!Repeatable(route_) || tries_ >= options().tries_max) return false;
  if (facts_.sequence != 0 && !facts_.sequence_start) return false;
  return handler_.pool_->ElsewhereReady(facts_.model, TriedWith(attempt), Now());
}

void ProxyExchange::TryAgain(ProxyAttempt& attempt, bool unprocessed, TryEnd end) {
  telemetry::LogVerbose(1, Concat("balancer: trying again after endpoint ", attempt.endpoint(),
                                  ": ", last_error_.empty() ? "answered 503" : last_error_));
  const bool may_pass_on = end == TryEnd::kAnswered && attempt.answer.holding;
  if (Late()) return may_pass_on ? PassOn(attempt, nullptr) : Fail(attempt, TryEnd::kTimedOut);
  tried_.push_back(attempt.endpoint());
  const Pool::Admitted admitted = handler_.pool_->Again({.failed = attempt.grant(),
                                                         .tried = tried_,
                                                         .tries = tries_,
                                                         .unprocessed = unprocessed,
                                                         .deadline = deadline_},
                                                        Now());
  if (admitted.admission != Dispatcher::Admission::kNoBudget) return OnAdmitted(admitted);
  if (may_pass_on) return PassOn(attempt, nullptr);
  Fail(attempt, end);
}

// The try has had the time that LimitOf gave it.
void ProxyExchange::OnLimit(ProxyAttempt& attempt) {
  if (attempt.answer.body.has_value()) return OnQuiet(attempt);
  if (Late()) return GiveUpLate(attempt);
  if (Now() >= attempt.begun() + options().try_time_max) {
    last_error_ = Concat("no answer within ", ToMilliseconds(options().try_time_max), " ms");
    return EndTry(attempt, TryEnd::kTimedOut);
  }
  const Duration hedge_after = attempt.grant().hedge_after;
  if (hedge_after > 0ns && Now() >= attempt.begun() + hedge_after && !hedge_asked_) {
    hedge_asked_ = true;
    attempt.WaitUntil(LimitOf(attempt));
    return Hedge(attempt);
  }
  // Far longer than usual: better elsewhere, if there is a place and a token for it.
  if (handler_.pool_->ElsewhereReady(facts_.model, TriedWith(attempt), Now()) &&
      Rescue(attempt, Concat("no answer within ", ToMilliseconds(attempt.grant().rescue_after),
                             " ms, far longer than usual"))) {
    return statistics().rescued.Add();
  }
  attempt.rescue_over = true;
  attempt.WaitUntil(LimitOf(attempt));
}

// There is a head, and the limit that the try had until then, or a later one, has come. An endpoint
// that waits for the client may be quiet, and one between two messages of a call.
void ProxyExchange::OnQuiet(ProxyAttempt& attempt) {
  if (attempt.paused() || !request_ended_) attempt.answer.heard_at = Now();
  const Duration idle_max = options().answer_idle_max;
  const bool call = route_ == RouteKind::kCall;
  const Instant limit = call ? Instant::max() : attempt.answer.heard_at + idle_max;
  if (limit > Now()) return attempt.WaitUntil(limit);
  last_error_ = Concat("nothing more of its answer within ", ToMilliseconds(idle_max), " ms");
  EndTry(attempt, TryEnd::kTimedOut);
}

// The client's doing, and not the endpoint's.
void ProxyExchange::GiveUpLate(const ProxyAttempt& attempt) {
  CancelTries();
  AnswerError(504, Concat("endpoint ", attempt.address().ToString(),
                          " has not answered before the request's deadline"));
}

void ProxyExchange::OnSuspected(ProxyAttempt& attempt) {
  (void)Rescue(attempt, "the endpoint failed its health checks");
}

// Gives the try up for another one, or for the one beside it; false when that may not be, and it
// goes on.
bool ProxyExchange::Rescue(ProxyAttempt& attempt, std::string why) {
  const RetryFacts facts = Facts(attempt, TryEnd::kSuspected);
  if (JudgeTry(facts, options().tries_max) != RetryVerdict::kAgain) return false;
  if (Beside(attempt) != nullptr) {
    last_error_ = std::move(why);
    EndTry(attempt, TryEnd::kSuspected);
    return true;
  }
  std::vector<EndpointId> tried = TriedWith(attempt);
  Pool::Admitted admitted;
  const Dispatcher::AskingAgain asking{
      .failed = attempt.grant(), .tried = tried, .tries = tries_, .deadline = deadline_};
  if (!handler_.pool_->Rescue(asking, Now(), admitted)) return false;
  last_error_ = std::move(why);
  tried_ = std::move(tried);
  attempt.Leave();
  CountTry(attempt, TryEnd::kSuspected);
  OnAdmitted(admitted);
  return true;
}

}  // namespace tepal::lb
