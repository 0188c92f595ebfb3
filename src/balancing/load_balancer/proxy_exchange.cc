#include "balancing/load_balancer/proxy_exchange.h"

#include <algorithm>
#include <utility>

#include "balancing/load_balancer/request_head.h"
#include "core/base/check.h"
#include "core/base/text.h"
#include "network/http/grpc_text.h"

namespace tepal::lb {

ProxyExchange::ProxyExchange(ProxyHandler& handler, http::RequestHead head,
                             http::ResponseSender& sender, RouteKind route, bool grpc)
    : handler_(handler),
      head_(std::move(head)),
      sender_(&sender),
      route_(route),
      grpc_(grpc),
      begun_(handler.loop_.Now()),
      ticket_(handler.NewTicket()),
      body_(head_.has_body ? head_.content_length : 0, options().replay_bytes_max,
            handler.shared_->replay_budget.budget()),
      request_ended_(!head_.has_body) {
  PrepareHead(head_, handler.random_);
  statistics().active.fetch_add(1, std::memory_order_relaxed);
}

void ProxyExchange::Begin() {
  if (options().access != nullptr && route_ != RouteKind::kHealth && !MayEnter()) return;
  if (route_ == RouteKind::kChangesOneReplica && !options().allow_changes) {
    statistics().refused.Add();
    return AnswerError(403, Concat(head_.method, " ", head_.path(),
                                   " would change one replica of many; send it to each replica, or "
                                   "allow it with --allow-replica-changes"));
  }
  // One that is malformed is for the endpoint to refuse.
  if (grpc_) {
    const Result<Instant> deadline = http::GrpcDeadline(head_.headers, begun_);
    if (deadline.ok()) deadline_ = *deadline;
  }
  const bool fits = head_.content_length.value_or(0) <= body_.keep_max();
  const bool whole_first = fits && body_.keep_max() > 0 && route_ != RouteKind::kCall;
  if (request_ended_ || !whole_first) Ask();
}

// The client's side.

std::span<std::byte> ProxyExchange::RequestRoom(size_t expected) {
  const bool too_fast = phase_ == Phase::kTrying &&
                        attempt_->unsent_bytes() >= options().client.limits.send_high_water_bytes;
  const bool nowhere = phase_ == Phase::kWaiting && body_.full();
  if (too_fast || nowhere) {
    request_paused_ = true;
    return {};
  }
  return body_.Room(expected);
}

void ProxyExchange::OnRequestBody(size_t bytes) {
  Buffer piece = body_.Received(bytes);
  statistics().bytes_received.Add(bytes);
  bytes_received_ += bytes;
  if (cut_short_) return body_.Drop();
  if (route_ == RouteKind::kCall) boundary_.Feed(piece.bytes());
  switch (phase_) {
    case Phase::kCollecting:
      if (grpc_) LearnSize();
      // Of unknown length, and longer than what can be kept: it streams from here on.
      if (phase_ == Phase::kCollecting && body_.full() && !head_.content_length.has_value()) Ask();
      return;
    case Phase::kWaiting:
      return;
    case Phase::kTrying:
      if (body_.kept() && body_.size() > body_.keep_max()) body_.Drop();
      attempt_->Write(std::move(piece));
      break;
    case Phase::kDone:
      body_.Drop();
      return;
  }
  if (bytes_until_end_.has_value()) {
    *bytes_until_end_ -= std::min(bytes, *bytes_until_end_);
    EndAtBoundary();
  }
}

// A unary call says with its first bytes how long it is.
void ProxyExchange::LearnSize() {
  if (body_.pieces().empty() || head_.content_length.has_value()) return;
  const Buffer& first = body_.pieces().front();
  if (first.size() < kGrpcPrefixBytes || body_.length().has_value()) return;
  body_.Learn(GrpcFrameSize(first.bytes()));
  if (*body_.length() > body_.keep_max()) Ask();
}

// Of a body that streams, what has come by now; of one that is compressed, nothing.
void ProxyExchange::LearnFacts() {
  if (!grpc_) {
    facts_.model = ModelOfPath(head_.path());
    facts_.versioned = head_.path().find("/versions/") != std::string_view::npos;
  }
  if (!grpc_ && route_ != RouteKind::kInfer) return;
  if (body_.pieces().empty()) return;
  const Buffer bytes = Flatten(body_.pieces());
  std::string_view text = bytes.text();
  if (grpc_) {
    const bool plain = text.size() >= kGrpcPrefixBytes && text[0] == 0;
    if (plain) facts_ = ReadGrpcInferRequest(text.substr(kGrpcPrefixBytes));
    return;
  }
  if (head_.headers.Has("content-encoding")) return;
  if (const auto size = head_.headers.Get("inference-header-content-length")) {
    text = text.substr(0, ParseNumber<size_t>(*size).value_or(0));
  }
  const bool versioned = facts_.versioned;
  facts_ = ReadInferJson(ModelOfPath(head_.path()), text);
  facts_.versioned = versioned;
}

// The first of what gRPC, the request's parameter "timeout" and our own header say.
void ProxyExchange::LearnDeadline() {
  useful_until_ = deadline_;
  const auto until = [&](std::chrono::microseconds time) {
    if (time > 0us) useful_until_ = std::min<Instant>(useful_until_, begun_ + time);
  };
  until(facts_.timeout);
  constexpr int64_t kMax = int64_t{1} << 40;
  if (const auto text = head_.headers.Get("tepal-timeout-ms")) {
    const int64_t ms = ParseNumber<int64_t>(*text).value_or(0);
    if (ms > 0 && ms < kMax) until(std::chrono::milliseconds(ms));
  }
}

void ProxyExchange::OnRequestEnd() {
  if (std::exchange(request_ended_, true)) return;
  if (phase_ == Phase::kCollecting) {
    // Whatever was announced, this is what there is.
    if (!grpc_) head_.content_length = body_.size();
    Ask();
  } else if (phase_ == Phase::kTrying) {
    attempt_->Finish();
  }
}

// A call that could go on for ever is ended between two of its messages, and its answers to those
// before still come.
void ProxyExchange::OnClientDrain(size_t bytes_waiting) {
  if (route_ != RouteKind::kCall || phase_ == Phase::kDone || request_ended_) return;
  if (phase_ == Phase::kWaiting) {
    if (handler_.waiting_.erase(ticket_) > 0) (void)handler_.pool_->Abandon(ticket_, Now());
    return AnswerError(503, "the balancer is stopping");
  }
  bytes_until_end_ = bytes_waiting;
  EndAtBoundary();
}

void ProxyExchange::EndAtBoundary() {
  if (cut_short_ || request_ended_ || *bytes_until_end_ > 0 || !boundary_.reached()) return;
  cut_short_ = true;
  OnRequestEnd();
}

void ProxyExchange::OnClientGone() {
  sender_ = nullptr;
  if (phase_ == Phase::kDone) return;
  statistics().client_gone.Add();
  if (phase_ == Phase::kWaiting) {
    // False: a grant is on its way, and will find nobody.
    if (handler_.waiting_.erase(ticket_) > 0) (void)handler_.pool_->Abandon(ticket_, Now());
    Done(0);
  } else if (phase_ == Phase::kTrying) {
    CancelTries();
    Done(0);
  } else {
    Done(0);
  }
}

void ProxyExchange::OnClientRoom() {
  if (phase_ == Phase::kTrying) attempt_->ResumeAnswer();
}

void ProxyExchange::ResumeRequest() {
  if (!request_paused_ || sender_ == nullptr) return;
  request_paused_ = false;
  sender_->ResumeBody();
}

// Asking the pool.

uint64_t ProxyExchange::HashKeyOfRequest() const {
  return options().hash_key.has_value() ? options().hash_key->Of(head_, facts_.model) : 0;
}

void ProxyExchange::Ask() {
  phase_ = Phase::kWaiting;
  waiting_since_ = Now();
  if (Repeatable(route_) && route_ != RouteKind::kHealth) LearnFacts();
  LearnDeadline();
  OnAdmitted(handler_.pool_->Admit({.ticket = ticket_,
                                    .may_wait = route_ != RouteKind::kHealth,
                                    .deadline = useful_until_,
                                    .work = route_ == RouteKind::kInfer,
                                    .sequence = facts_.sequence,
                                    .sequence_start = facts_.sequence_start,
                                    .sequence_end = facts_.sequence_end,
                                    .key = HashKeyOfRequest(),
                                    .model = facts_.model},
                                   Now()));
}

void ProxyExchange::OnAdmitted(const Pool::Admitted& admitted) {
  using Admission = Dispatcher::Admission;
  switch (admitted.admission) {
    case Admission::kGranted:
      return StartTry(admitted.grant);
    case Admission::kWaiting:
      phase_ = Phase::kWaiting;
      handler_.waiting_.emplace(ticket_, shared_from_this());
      return;
    case Admission::kFull:
      return AnswerError(503, "no endpoint is free and the queue is full");
    case Admission::kUnavailable:
      return AnswerError(503, "no endpoint is available");
    case Admission::kModelNowhere:
      return AnswerError(
          503, Concat("model '", facts_.model, "' is ready on no endpoint that can be used"));
    case Admission::kTooLate:
      return AnswerError(
          504, Concat("the earliest answer is expected in ", ToMilliseconds(admitted.expected),
                      " ms, and the request's deadline is in ",
                      ToMilliseconds(std::max<Duration>(useful_until_ - Now(), 0ns)), " ms"));
    case Admission::kNoBudget:
      return;  // TryAgain's business.
  }
}

void ProxyExchange::OnGranted(const Pool::Grant& grant) { StartTry(grant); }

void ProxyExchange::OnTooLate() {
  const Duration left = useful_until_ - Now();
  AnswerError(504,
              Concat("no endpoint was free early enough for the request's deadline, which is in ",
                     ToMilliseconds(std::max<Duration>(left, 0ns)), " ms"));
}

void ProxyExchange::OnExpired() {
  std::string last = last_error_.empty() ? std::string() : Concat("; the last try: ", last_error_);
  if (!facts_.model.empty()) last += Concat(" (model '", facts_.model, "')");
  if (Late()) return AnswerError(504, Concat("no endpoint was free before the deadline", last));
  AnswerError(503, Concat("no endpoint became free in time", last));
}

void ProxyExchange::Done(int status) {
  TEPAL_CHECK(phase_ != Phase::kDone);
  if (options().access_log != nullptr) LogAccess(status);
  phase_ = Phase::kDone;
  body_.Drop();
  attempt_.reset();
  ProxyStatistics& s = statistics();
  s.active.fetch_sub(1, std::memory_order_relaxed);
  if (status >= 100 && status < 600) {
    s.responses.Add(status);
    s.latency.Record(ToMicroseconds(Now() - begun_));
  }
}

}  // namespace tepal::lb
