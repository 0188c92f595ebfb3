// How the two sessions speak to an exchange.

#include "balancing/load_balancer/proxy_exchange.h"

namespace tepal::lb {

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
  void OnDrain(size_t bytes_waiting) override { Hold()->OnClientDrain(bytes_waiting); }

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

std::unique_ptr<http::RequestReceiver> ProxyExchange::NewClientSide() {
  return std::make_unique<ClientSide>(shared_from_this());
}

std::unique_ptr<http::ResponseReceiver> ProxyExchange::NewEndpointSide(uint64_t attempt) {
  return std::make_unique<EndpointSide>(shared_from_this(), attempt);
}

}  // namespace tepal::lb
