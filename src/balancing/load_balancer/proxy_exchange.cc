#include "balancing/load_balancer/proxy_exchange.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/base/text.h"
#include "core/telemetry/log.h"
#include "network/http/grpc_text.h"

namespace tepal::lb {

namespace {

std::string NewRequestId(env::Random& random) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string id;
  for (int word = 0; word < 2; ++word) {
    uint64_t bits = random.Next();
    for (int digit = 0; digit < 16; ++digit, bits >>= 4) id.push_back(kHex[bits & 15]);
  }
  return id;
}

// One that a log can take as it is.
bool IsRequestId(std::string_view text) {
  constexpr size_t kBytesMax = 128;
  return !text.empty() && text.size() <= kBytesMax &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

}  // namespace

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
            handler.shared_->replay_budget),
      request_ended_(!head_.has_body) {
  PrepareHead();
  statistics().active.fetch_add(1, std::memory_order_relaxed);
}

void ProxyExchange::PrepareHead() {
  http::Headers& headers = head_.headers;
  const auto id = headers.Get("x-request-id");
  if (!id.has_value() || !IsRequestId(*id)) {
    headers.Set("x-request-id", NewRequestId(handler_.random_));
  }
  if (!head_.peer.empty()) {
    const auto before = headers.Get("x-forwarded-for");
    headers.Set("x-forwarded-for",
                before.has_value() ? Concat(*before, ", ", head_.peer) : head_.peer);
  }
  if (!headers.Has("x-forwarded-proto")) {
    headers.Add("x-forwarded-proto", head_.scheme.empty() ? "http" : head_.scheme);
  }
  headers.Remove("expect");  // The client has been told to continue by us.
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
  const bool too_fast =
      phase_ == Phase::kTrying && upstream_ != nullptr &&
      upstream_->sender().unsent_bytes() >= options().client.limits.send_high_water_bytes;
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
    case Phase::kTrying: {
      if (body_.kept() && body_.size() > body_.keep_max()) body_.Drop();
      grant_.traffic->bytes_sent.fetch_add(bytes, std::memory_order_relaxed);
      BufferList list;
      list.push_back(std::move(piece));
      if (upstream_ != nullptr) upstream_->sender().Write(std::move(list));
      break;
    }
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
  } else if (phase_ == Phase::kTrying && upstream_ != nullptr) {
    upstream_->sender().Finish();
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
    EndTry(TryEnd::kCancelled);
  } else {
    Done(0);
  }
}

void ProxyExchange::OnClientRoom() {
  if (!answer_paused_ || upstream_ == nullptr) return;
  answer_paused_ = false;
  upstream_->sender().ResumeBody();
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

// Tries.

const env::Address& ProxyExchange::AddressOfTry() const {
  return grpc_ && grant_.grpc_address.has_value() ? *grant_.grpc_address : grant_.address;
}

http::RequestHead ProxyExchange::HeadOfTry() const {
  http::RequestHead head = head_;
  if (deadline_ != Instant::max()) {
    const Duration left = std::max<Duration>(deadline_ - Now(), 1ns);
    head.headers.Set("grpc-timeout", http::FormatGrpcTimeout(left));
  }
  if (route_ == RouteKind::kInfer) head.headers.Set(kLoadAskField, "1");
  return head;
}

// A call's answer may begin as late as it likes.
Instant ProxyExchange::LimitOfTry() const {
  if (route_ == RouteKind::kCall) return deadline_;
  Duration time = options().try_time_max;
  if (grant_.rescue_after > 0ns && !rescue_over_) time = std::min(time, grant_.rescue_after);
  return std::min(try_begun_ + time, deadline_);
}

void ProxyExchange::StartTry(const Pool::Grant& grant) {
  phase_ = Phase::kTrying;
  grant_ = grant;
  ++tries_;
  waited_ += Now() - std::exchange(waiting_since_, Now());
  const uint64_t attempt = ++attempt_;
  try_begun_ = Now();
  holding_ = answer_begun_ = answer_paused_ = rescue_over_ = false;
  answer_body_.reset();
  load_.reset();
  try_position_ = handler_.AddTry(*this, LimitOfTry());

  sending_ = true;
  const bool whole = request_ended_ && body_.size() == 0;
  net::HttpClient& client = grpc_ ? *handler_.grpc_client_ : *handler_.client_;
  auto upstream = client.Send(AddressOfTry(), HeadOfTry(), whole, NewEndpointSide(attempt));
  sending_ = false;
  if (failed_at_once_.has_value())
    return OnTryFailed(*std::exchange(failed_at_once_, std::nullopt));
  upstream_ = std::move(upstream);
  if (!whole) {
    http::RequestSender& sender = upstream_->sender();
    grant_.traffic->bytes_sent.fetch_add(body_.size(), std::memory_order_relaxed);
    if (!body_.pieces().empty()) sender.Write(body_.pieces());
    if (request_ended_) sender.Finish();
  }
  ResumeRequest();
}

// Lets go of the try, whatever state it is in.
void ProxyExchange::LeaveTry() {
  if (try_position_.has_value()) handler_.RemoveTry(*std::exchange(try_position_, std::nullopt));
  ++attempt_;
  upstream_.reset();
}

RetryFacts ProxyExchange::Facts(TryEnd end) const {
  RetryFacts facts;
  facts.end = end;
  facts.status = answer_status_;
  facts.route = route_;
  facts.sequence = facts_.sequence != 0;
  facts.sequence_start = facts_.sequence_start;
  facts.body_kept = body_.kept();
  facts.answer_begun = answer_begun_;
  facts.tries_begun = tries_ - tries_unprocessed_ - (end == TryEnd::kUnprocessed ? 1 : 0);
  return facts;
}

void ProxyExchange::CountTry(TryEnd end) {
  EndpointTraffic& traffic = *grant_.traffic;
  waiting_since_ = Now();
  if (options().access_log != nullptr) {
    log_tries_.push_back({AddressOfTry().ToString(), Now() - try_begun_});
  }
  if (end == TryEnd::kAnswered) {
    const int64_t time_us = ToMicroseconds(Now() - try_begun_);
    traffic.CountResponse(answer_status_);
    traffic.time_us.fetch_add(static_cast<uint64_t>(time_us), std::memory_order_relaxed);
    traffic.latency.Record(time_us);
  } else if (end == TryEnd::kCancelled) {
    traffic.cancelled.fetch_add(1, std::memory_order_relaxed);
  } else {
    traffic.failures.fetch_add(1, std::memory_order_relaxed);
  }
}

void ProxyExchange::EndTry(TryEnd end, const http::Headers* trailers) {
  const RetryVerdict verdict = JudgeTry(Facts(end), options().tries_max);
  if (verdict == RetryVerdict::kGoOnWaiting) return;
  LeaveTry();
  CountTry(end);
  const bool unknown = end == TryEnd::kAnswered && SaysUnknownModel(trailers);
  handler_.pool_->Finish(grant_, end, answer_status_, Now(),
                         {.load = load_.has_value() ? &*load_ : nullptr,
                          .model = facts_.model,
                          .model_unknown = unknown});
  if (end == TryEnd::kUnprocessed) ++tries_unprocessed_;
  if (unknown && MayFindModelElsewhere()) {
    last_error_ = "it does not know the model";
    ++tries_unprocessed_;
    return TryAgain(true, end);
  }
  switch (verdict) {
    case RetryVerdict::kAgain:
      return TryAgain(false, end);
    case RetryVerdict::kBackInLine:
      return TryAgain(true, end);
    case RetryVerdict::kPassOn:
      return PassOn(trailers);
    case RetryVerdict::kBreakOff:
      return BreakOff();
    case RetryVerdict::kForget:
      return Done(0);
    case RetryVerdict::kFail:
    case RetryVerdict::kGoOnWaiting:
      return Fail(end);
  }
}

void ProxyExchange::TryAgain(bool unprocessed, TryEnd end) {
  telemetry::LogVerbose(1, Concat("balancer: trying again after endpoint ", grant_.endpoint, ": ",
                                  last_error_.empty() ? "answered 503" : last_error_));
  const bool may_pass_on = end == TryEnd::kAnswered && holding_;
  if (Late()) return may_pass_on ? PassOn(nullptr) : Fail(TryEnd::kTimedOut);
  tried_.push_back(grant_.endpoint);
  const Pool::Admitted admitted = handler_.pool_->Again({.failed = grant_,
                                                         .tried = tried_,
                                                         .tries = tries_,
                                                         .unprocessed = unprocessed,
                                                         .deadline = deadline_},
                                                        Now());
  if (admitted.admission != Dispatcher::Admission::kNoBudget) return OnAdmitted(admitted);
  if (may_pass_on) return PassOn(nullptr);
  Fail(end);
}

void ProxyExchange::OnTryTimedOut() {
  if (!Late() && Now() < try_begun_ + options().try_time_max) {
    // Far longer than usual: better elsewhere, if there is a place and a token for it.
    std::vector<EndpointId> tried = tried_;
    tried.push_back(grant_.endpoint);
    if (handler_.pool_->ElsewhereReady(facts_.model, tried, Now()) &&
        Rescue(Concat("no answer within ", ToMilliseconds(grant_.rescue_after),
                      " ms, far longer than usual"))) {
      return statistics().rescued.Add();
    }
    rescue_over_ = true;
    handler_.RemoveTry(*try_position_);
    try_position_ = handler_.AddTry(*this, LimitOfTry());
    return;
  }
  if (!Late()) {
    last_error_ = Concat("no answer within ", ToMilliseconds(options().try_time_max), " ms");
    return EndTry(TryEnd::kTimedOut);
  }
  // The client's doing, and not the endpoint's.
  LeaveTry();
  CountTry(TryEnd::kCancelled);
  handler_.pool_->Finish(grant_, TryEnd::kCancelled, 0, Now());
  AnswerError(504, Concat("endpoint ", AddressOfTry().ToString(),
                          " has not answered before the request's deadline"));
}

void ProxyExchange::OnSuspected() { (void)Rescue("the endpoint failed its health checks"); }

// Gives the try up for another one; false when that may not be, and it goes on.
bool ProxyExchange::Rescue(std::string why) {
  if (JudgeTry(Facts(TryEnd::kSuspected), options().tries_max) != RetryVerdict::kAgain)
    return false;
  const Pool::Grant suspected = grant_;
  std::vector<EndpointId> tried = tried_;
  tried.push_back(suspected.endpoint);
  Pool::Admitted admitted;
  const Dispatcher::AskingAgain asking{
      .failed = suspected, .tried = tried, .tries = tries_, .deadline = deadline_};
  if (!handler_.pool_->Rescue(asking, Now(), admitted)) return false;
  last_error_ = std::move(why);
  tried_ = std::move(tried);
  LeaveTry();
  CountTry(TryEnd::kSuspected);
  OnAdmitted(admitted);
  return true;
}

void ProxyExchange::Done(int status) {
  TEPAL_CHECK(phase_ != Phase::kDone);
  if (options().access_log != nullptr) LogAccess(status);
  phase_ = Phase::kDone;
  body_.Drop();
  answer_body_.reset();
  ProxyStatistics& s = statistics();
  s.active.fetch_sub(1, std::memory_order_relaxed);
  if (status >= 100 && status < 600) {
    s.responses[static_cast<size_t>(status / 100 - 1)].Add();
    s.latency.Record(ToMicroseconds(Now() - begun_));
  }
}

}  // namespace tepal::lb
