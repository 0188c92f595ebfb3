#include "balancing/load_balancer/proxy_exchange.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/base/text.h"
#include "core/json/writer.h"
#include "core/telemetry/log.h"

namespace tepal::lb {

namespace {

constexpr size_t kAnswerPiece = 64 * 1024;
constexpr uint32_t kHttp2Cancel = 8;

std::string NewRequestId(env::Random& random) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string id;
  for (int word = 0; word < 2; ++word) {
    uint64_t bits = random.Next();
    for (int digit = 0; digit < 16; ++digit, bits >>= 4) id.push_back(kHex[bits & 15]);
  }
  return id;
}

}  // namespace

class ProxyExchange::ClientSide final : public http::RequestReceiver {
 public:
  explicit ClientSide(std::shared_ptr<ProxyExchange> exchange) : exchange_(std::move(exchange)) {}

  std::span<std::byte> BodyRoom(size_t expected) override {
    return exchange_->RequestRoom(expected);
  }
  void OnBody(size_t bytes) override { Hold()->OnRequestBody(bytes); }
  void OnRequestEnd(const http::Headers&) override { Hold()->OnRequestEnd(); }
  void OnReset(const Status&) override { Hold()->OnClientGone(); }
  void OnSendRoom() override { Hold()->OnClientRoom(); }

 private:
  // An answer may end the exchange, and this object with it, within the call.
  std::shared_ptr<ProxyExchange> Hold() { return exchange_; }
  const std::shared_ptr<ProxyExchange> exchange_;
};

// What comes of a try that was given up is ignored.
class ProxyExchange::EndpointSide final : public http::ResponseReceiver {
 public:
  EndpointSide(std::shared_ptr<ProxyExchange> exchange, uint64_t attempt)
      : exchange_(std::move(exchange)), attempt_(attempt) {}

  std::span<std::byte> BodyRoom(size_t expected) override {
    return current() ? exchange_->AnswerRoom(expected) : std::span<std::byte>(waste_);
  }
  void OnBody(size_t bytes) override {
    if (current()) Hold()->OnAnswerBody(bytes);
  }
  void OnResponse(http::ResponseHead head) override {
    if (current()) Hold()->OnAnswer(std::move(head));
  }
  void OnResponseEnd(const http::Headers& trailers) override {
    if (current()) Hold()->OnAnswerEnd(trailers);
  }
  void OnFailure(const Failure& failure) override {
    if (current()) Hold()->OnTryFailed(failure);
  }
  void OnSendRoom() override {
    if (current()) Hold()->OnEndpointRoom();
  }

 private:
  bool current() const {
    return exchange_->phase_ == Phase::kTrying && exchange_->attempt_ == attempt_;
  }
  std::shared_ptr<ProxyExchange> Hold() { return exchange_; }

  const std::shared_ptr<ProxyExchange> exchange_;
  const uint64_t attempt_;
  std::byte waste_[1024];
};

ProxyExchange::ProxyExchange(ProxyHandler& handler, http::RequestHead head,
                             http::ResponseSender& sender, RouteKind route)
    : handler_(handler),
      head_(std::move(head)),
      sender_(&sender),
      route_(route),
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
  if (!headers.Has("x-request-id")) headers.Add("x-request-id", NewRequestId(handler_.random_));
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

std::unique_ptr<http::RequestReceiver> ProxyExchange::NewClientSide() {
  return std::make_unique<ClientSide>(shared_from_this());
}

void ProxyExchange::Begin() {
  if (route_ == RouteKind::kChangesOneReplica && !options().allow_changes) {
    statistics().refused.Add();
    return AnswerError(403, Concat(head_.method, " ", head_.path(),
                                   " would change one replica of many; send it to each replica, or "
                                   "allow it with --allow-replica-changes"));
  }
  const bool fits = head_.content_length.value_or(0) <= body_.keep_max();
  if (request_ended_ || !fits || body_.keep_max() == 0) Ask();
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
  switch (phase_) {
    case Phase::kCollecting:
      // Of unknown length, and longer than what can be kept: it streams from here on.
      if (body_.full() && !head_.content_length.has_value()) Ask();
      return;
    case Phase::kWaiting:
      return;
    case Phase::kTrying: {
      if (body_.kept() && body_.size() > body_.keep_max()) body_.Drop();
      grant_.traffic->bytes_sent.fetch_add(bytes, std::memory_order_relaxed);
      BufferList list;
      list.push_back(std::move(piece));
      if (upstream_ != nullptr) upstream_->sender().Write(std::move(list));
      return;
    }
    case Phase::kDone:
      body_.Drop();
      return;
  }
}

void ProxyExchange::OnRequestEnd() {
  request_ended_ = true;
  if (phase_ == Phase::kCollecting) {
    // Whatever was announced, this is what there is.
    head_.content_length = body_.size();
    Ask();
  } else if (phase_ == Phase::kTrying && upstream_ != nullptr) {
    upstream_->sender().Finish();
  }
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

void ProxyExchange::Ask() {
  phase_ = Phase::kWaiting;
  OnAdmitted(handler_.pool_->Admit(ticket_, route_ != RouteKind::kHealth, Now()));
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
    case Admission::kNoBudget:
      return;  // TryAgain's business.
  }
}

void ProxyExchange::OnGranted(const Pool::Grant& grant) { StartTry(grant); }

void ProxyExchange::OnExpired() {
  AnswerError(503, last_error_.empty()
                       ? std::string("no endpoint became free in time")
                       : Concat("no endpoint became free in time; the last try: ", last_error_));
}

// Tries.

void ProxyExchange::StartTry(const Pool::Grant& grant) {
  phase_ = Phase::kTrying;
  grant_ = grant;
  ++tries_;
  const uint64_t attempt = ++attempt_;
  try_begun_ = Now();
  holding_ = answer_begun_ = answer_paused_ = false;
  answer_filled_ = 0;
  answer_body_ = Buffer();
  try_position_ = handler_.AddTry(*this);

  sending_ = true;
  const bool whole = request_ended_ && body_.size() == 0;
  auto upstream = handler_.client_->Send(
      grant.address, head_, whole, std::make_unique<EndpointSide>(shared_from_this(), attempt));
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
  facts.status = answer_.status;
  facts.route = route_;
  facts.body_kept = body_.kept();
  facts.answer_begun = answer_begun_;
  facts.tries_begun = tries_ - tries_unprocessed_ - (end == TryEnd::kUnprocessed ? 1 : 0);
  return facts;
}

void ProxyExchange::CountTry(TryEnd end) {
  EndpointTraffic& traffic = *grant_.traffic;
  if (end == TryEnd::kAnswered) {
    const int64_t time_us = ToMicroseconds(Now() - try_begun_);
    traffic.CountResponse(answer_.status);
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
  handler_.pool_->Finish(grant_, end, answer_.status, Now());
  if (end == TryEnd::kUnprocessed) ++tries_unprocessed_;
  switch (verdict) {
    case RetryVerdict::kAgain:
      return TryAgain(false, end);
    case RetryVerdict::kBackInLine:
      return TryAgain(true, end);
    case RetryVerdict::kPassOn:
      return PassOn(trailers);
    case RetryVerdict::kBreakOff:
      statistics().broken_off.Add();
      if (sender_ != nullptr) std::exchange(sender_, nullptr)->Reset(kHttp2Cancel);
      return Done(0);
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
  tried_.push_back(grant_.endpoint);
  const Pool::Admitted admitted = handler_.pool_->Again(grant_, tried_, tries_, unprocessed, Now());
  if (admitted.admission != Dispatcher::Admission::kNoBudget) return OnAdmitted(admitted);
  if (end == TryEnd::kAnswered && holding_) return PassOn(nullptr);
  Fail(end);
}

void ProxyExchange::OnTryTimedOut() {
  last_error_ = Concat("no answer within ", ToMilliseconds(options().try_time_max), " ms");
  EndTry(TryEnd::kTimedOut);
}

void ProxyExchange::OnSuspected() {
  if (JudgeTry(Facts(TryEnd::kSuspected), options().tries_max) != RetryVerdict::kAgain) return;
  const Pool::Grant suspected = grant_;
  std::vector<EndpointId> tried = tried_;
  tried.push_back(suspected.endpoint);
  Pool::Admitted admitted;
  if (!handler_.pool_->Rescue(suspected, tried, tries_, Now(), admitted)) return;
  last_error_ = "the endpoint failed its health checks";
  tried_ = std::move(tried);
  LeaveTry();
  CountTry(TryEnd::kSuspected);
  OnAdmitted(admitted);
}

// The endpoint's side.

void ProxyExchange::OnAnswer(http::ResponseHead head) {
  if (try_position_.has_value()) handler_.RemoveTry(*std::exchange(try_position_, std::nullopt));
  answer_ = std::move(head);
  holding_ = !answer_.has_body ||
             (answer_.content_length.has_value() &&
              *answer_.content_length <= options().hold_bytes_max && route_ != RouteKind::kStream);
  if (holding_) {
    if (answer_.has_body) {
      answer_body_ = Buffer::Allocate(static_cast<size_t>(*answer_.content_length));
    }
    return;
  }
  if (JudgeTry(Facts(TryEnd::kAnswered), options().tries_max) == RetryVerdict::kAgain) {
    return EndTry(TryEnd::kAnswered);
  }
  answer_begun_ = true;
  if (sender_ != nullptr) sender_->Start(answer_);
}

std::span<std::byte> ProxyExchange::AnswerRoom(size_t expected) {
  if (!holding_) {
    if (sender_ != nullptr && sender_->unsent_bytes() >= handler_.client_high_water_) {
      answer_paused_ = true;
      return {};
    }
    if (answer_filled_ == answer_body_.size()) {
      answer_body_ = Buffer::Allocate(std::clamp<size_t>(expected, kAnswerPiece, 4 * kAnswerPiece));
      answer_filled_ = 0;
    }
  }
  return {answer_body_.data() + answer_filled_, answer_body_.size() - answer_filled_};
}

void ProxyExchange::OnAnswerBody(size_t bytes) {
  grant_.traffic->bytes_received.fetch_add(bytes, std::memory_order_relaxed);
  answer_filled_ += bytes;
  if (holding_ || sender_ == nullptr) return;
  statistics().bytes_sent.Add(bytes);
  BufferList list;
  list.push_back(answer_body_.Slice(answer_filled_ - bytes, bytes));
  sender_->Write(std::move(list));
}

void ProxyExchange::OnAnswerEnd(const http::Headers& trailers) {
  EndTry(TryEnd::kAnswered, &trailers);
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

// The answer.

void ProxyExchange::PassOn(const http::Headers* trailers) {
  const int status = answer_.status;
  http::ResponseSender* const sender = std::exchange(sender_, nullptr);
  if (sender == nullptr) return Done(0);
  if (answer_begun_) {
    sender->Finish(trailers != nullptr && !trailers->empty() ? trailers : nullptr);
    return Done(status);
  }
  if (SpeaksOfOneReplica(head_.path())) {
    answer_.headers.Set("x-tepal-endpoint", grant_.address.ToString());
  }
  statistics().bytes_sent.Add(answer_body_.size());
  if (head_.method == "HEAD" || !answer_.has_body) {
    sender->Start(std::move(answer_));
    sender->Finish();
  } else {
    BufferList body;
    body.push_back(std::move(answer_body_));
    sender->Respond(std::move(answer_), std::move(body));
  }
  Done(status);
}

void ProxyExchange::Fail(TryEnd end) {
  const bool late = end == TryEnd::kTimedOut || end == TryEnd::kSuspected;
  AnswerError(late ? 504 : 502,
              Concat("endpoint ", grant_.address.ToString(), " failed: ", last_error_));
}

void ProxyExchange::AnswerError(int status, std::string message) {
  http::ResponseHead head;
  head.status = status;
  head.headers.Add("content-type", "application/json");
  if (status == 503) head.headers.Add("retry-after", "1");
  if (const auto id = head_.headers.Get("x-request-id")) head.headers.Add("x-request-id", *id);
  json::Writer text;
  text.BeginObject().Key("error").String(message).EndObject();
  if (status >= 500) statistics().failed.Add();
  http::ResponseSender* const sender = std::exchange(sender_, nullptr);
  BufferList body;
  body.push_back(Buffer::Copy(text.text()));
  if (sender != nullptr) sender->Respond(std::move(head), std::move(body));
  Done(status);
}

void ProxyExchange::Done(int status) {
  TEPAL_CHECK(phase_ != Phase::kDone);
  phase_ = Phase::kDone;
  body_.Drop();
  answer_body_ = Buffer();
  ProxyStatistics& s = statistics();
  s.active.fetch_sub(1, std::memory_order_relaxed);
  if (status >= 100 && status < 600) {
    s.responses[static_cast<size_t>(status / 100 - 1)].Add();
    s.latency.Record(ToMicroseconds(Now() - begun_));
  }
}

}  // namespace tepal::lb
