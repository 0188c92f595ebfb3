#include "balancing/load_balancer/proxy_attempt.h"

#include <utility>

#include "balancing/load_balancer/grpc_terms.h"
#include "balancing/load_balancer/proxy_exchange.h"

namespace tepal::lb {

// How the session to the endpoint speaks to the try.
class ProxyAttempt::EndpointSide final : public http::ResponseReceiver {
 public:
  EndpointSide(std::shared_ptr<ProxyExchange> exchange, std::shared_ptr<ProxyAttempt> attempt)
      : exchange_(std::move(exchange)), attempt_(std::move(attempt)) {}

  std::span<std::byte> BodyRoom(size_t expected) override {
    return current() ? attempt_->AnswerRoom(expected) : std::span<std::byte>(waste_);
  }
  void OnBody(size_t bytes) override {
    if (current()) Hold()->OnAnswerBody(bytes);
  }
  void OnResponse(http::ResponseHead head) override {
    if (current()) Hold()->OnHead(std::move(head));
  }
  void OnResponseEnd(const http::Headers& trailers) override {
    if (current()) Hold()->OnAnswerEnd(trailers);
  }
  void OnFailure(const Failure& failure) override {
    if (current()) Hold()->OnFailure(failure);
  }
  void OnSendRoom() override {
    if (current()) Hold().exchange->ResumeRequest();
  }

 private:
  // What was left may still come: it is thrown away.
  bool current() const { return !attempt_->left_; }
  // The end of a try may destroy this object within the call.
  struct Held {
    std::shared_ptr<ProxyExchange> exchange;
    std::shared_ptr<ProxyAttempt> attempt;
    ProxyAttempt* operator->() const { return attempt.get(); }
  };
  Held Hold() const { return {exchange_, attempt_}; }

  const std::shared_ptr<ProxyExchange> exchange_;
  const std::shared_ptr<ProxyAttempt> attempt_;
  std::byte waste_[1024];
};

ProxyAttempt::ProxyAttempt(ProxyExchange& exchange, const Pool::Grant& grant)
    : exchange_(exchange), grant_(grant), begun_(exchange.Now()) {}

const env::Address& ProxyAttempt::address() const {
  return exchange_.grpc_ && grant_.grpc_address.has_value() ? *grant_.grpc_address : grant_.address;
}

void ProxyAttempt::Send() {
  WaitUntil(exchange_.LimitOf(*this));
  ProxyHandler& handler = exchange_.handler_;
  net::HttpClient& client = exchange_.grpc_ ? *handler.grpc_client_ : *handler.client_;
  const ReplayBody& body = exchange_.body_;
  const bool whole = exchange_.request_ended_ && body.size() == 0;
  sending_ = true;
  upstream_ =
      client.Send(address(), exchange_.HeadOfTry(), whole,
                  std::make_unique<EndpointSide>(exchange_.shared_from_this(), shared_from_this()));
  sending_ = false;
  if (failed_at_once_.has_value()) return OnFailure(*std::exchange(failed_at_once_, std::nullopt));
  if (whole) return;
  http::RequestSender& sender = upstream_->sender();
  grant_.traffic->bytes_sent.fetch_add(body.size(), std::memory_order_relaxed);
  if (!body.pieces().empty()) sender.Write(body.pieces());
  if (exchange_.request_ended_) sender.Finish();
}

void ProxyAttempt::Leave() {
  left_ = true;
  StopWaiting();
  upstream_.reset();
}

void ProxyAttempt::WaitUntil(Instant limit) {
  StopWaiting();
  position_ = exchange_.handler_.AddTry(*this, limit);
}

void ProxyAttempt::StopWaiting() {
  if (position_.has_value()) {
    exchange_.handler_.RemoveTry(*std::exchange(position_, std::nullopt));
  }
}

void ProxyAttempt::Write(Buffer piece) {
  grant_.traffic->bytes_sent.fetch_add(piece.size(), std::memory_order_relaxed);
  if (upstream_ == nullptr) return;
  BufferList list;
  list.push_back(std::move(piece));
  upstream_->sender().Write(std::move(list));
}

void ProxyAttempt::Finish() {
  if (upstream_ != nullptr) upstream_->sender().Finish();
}

size_t ProxyAttempt::unsent_bytes() const {
  return upstream_ != nullptr ? upstream_->sender().unsent_bytes() : 0;
}

void ProxyAttempt::ResumeAnswer() {
  if (!paused_ || upstream_ == nullptr) return;
  paused_ = false;
  upstream_->sender().ResumeBody();
}

void ProxyAttempt::OnLimit() {
  const auto held = exchange_.shared_from_this();
  exchange_.OnLimit(*this);
}

void ProxyAttempt::OnSuspected() {
  const auto held = exchange_.shared_from_this();
  if (!left_) exchange_.OnSuspected(*this);
}

void ProxyAttempt::OnHead(http::ResponseHead head) {
  answer.head = std::move(head);
  answer.head_at = answer.heard_at = exchange_.Now();
  TakeLoad(answer.head.headers);
  answer.status = answer.head.status;
  exchange_.OnHead(*this);
}

std::span<std::byte> ProxyAttempt::AnswerRoom(size_t expected) {
  if (!answer.holding && !exchange_.ClientTakesMore()) {
    paused_ = true;
    return {};
  }
  return answer.body->Room(expected);
}

void ProxyAttempt::OnAnswerBody(size_t bytes) {
  answer.heard_at = exchange_.Now();
  grant_.traffic->bytes_received.fetch_add(bytes, std::memory_order_relaxed);
  Buffer piece = answer.body->Received(bytes);
  if (!answer.holding) return exchange_.PassOnPiece(std::move(piece));
  if (answer.body->size() > answer.body->keep_max()) exchange_.StreamAnswer(*this);
}

void ProxyAttempt::OnAnswerEnd(const http::Headers& trailers) {
  const http::Headers* passed_on = &trailers;
  if (trailers.Has(kLoadField)) {
    answer.trailers = trailers;
    TakeLoad(*answer.trailers);
    passed_on = &*answer.trailers;
  }
  if (exchange_.grpc_) answer.status = HttpStatusOfGrpcAnswer(answer.head, passed_on);
  exchange_.EndTry(*this, TryEnd::kAnswered, passed_on);
}

// What an endpoint says of its load is for us alone.
void ProxyAttempt::TakeLoad(http::Headers& headers) {
  const auto text = headers.Get(kLoadField);
  if (!text.has_value()) return;
  answer.load = ReadModelLoad(*text);
  ProxyStatistics& s = exchange_.statistics();
  (answer.load.has_value() ? s.load_reports : s.load_malformed).Add();
  headers.Remove(kLoadField);
}

void ProxyAttempt::OnFailure(const http::ResponseReceiver::Failure& failure) {
  if (sending_) {
    failed_at_once_ = failure;
    return;
  }
  exchange_.OnTryFailed(*this, failure);
}

}  // namespace tepal::lb
