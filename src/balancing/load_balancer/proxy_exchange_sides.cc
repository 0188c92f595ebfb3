// How the session to the client speaks to an exchange.

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

std::unique_ptr<http::RequestReceiver> ProxyExchange::NewClientSide() {
  return std::make_unique<ClientSide>(shared_from_this());
}

}  // namespace tepal::lb
