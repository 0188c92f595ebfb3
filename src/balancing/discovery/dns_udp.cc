#include <array>
#include <utility>

#include "balancing/discovery/dns_exchange.h"
#include "balancing/discovery/dns_transport.h"
#include "core/env/datagrams.h"

namespace tepal::discovery {

namespace {

constexpr int kReceivesPerTurn = 16;  // Before others get theirs.

class OverUdp final : public DnsAsking {
 public:
  OverUdp(env::EventLoop& loop, DnsQuestion question, Instant deadline, DnsDone done)
      : loop_(loop), exchange_(std::move(question), deadline), done_(std::move(done)) {}
  ~OverUdp() override { loop_.Cancel(timer_); }

  void Begin(const env::Address& server) {
    auto socket = loop_.OpenDatagrams(server, [this] { OnReadable(); });
    if (socket.ok()) {
      socket_ = *std::move(socket);
    } else {
      failure_ = socket.status();
    }
    timer_ = loop_.RunAt(loop_.Now(), [this] { OnTime(); });
  }

 private:
  void OnTime() {
    timer_ = 0;
    if (socket_ == nullptr) return End(failure_);
    Do(exchange_.OnTime(loop_.Now()));
  }

  void OnReadable() {
    for (int i = 0; i < kReceivesPerTurn && done_; ++i) {
      std::array<std::byte, kDnsDatagramMax> room;
      const env::IoResult result = socket_->Receive(room);
      if (result.outcome == env::IoResult::Outcome::kWouldBlock) return;
      if (result.outcome != env::IoResult::Outcome::kDone) return Refused();
      Do(exchange_.OnDatagram(std::span(room).first(result.bytes), loop_.Now()));
    }
  }

  void Do(DnsExchange::Step step) {
    if (step == DnsExchange::Step::kEnded) return End(exchange_.result());
    if (step == DnsExchange::Step::kSend) {
      const std::span<const std::byte> datagram = exchange_.datagram();
      const env::IoResult result = socket_->Send({datagram.data(), datagram.size()});
      if (result.outcome == env::IoResult::Outcome::kFailed) return Refused();
    }
    loop_.Cancel(timer_);
    timer_ = loop_.RunAt(exchange_.next(), [this] { OnTime(); });
  }

  void Refused() { End(Unavailable("nobody answers at its UDP port")); }

  // What comes afterwards is read by nobody.
  void End(Result<DnsAnswer> answer) {
    if (!done_) return;
    loop_.Cancel(timer_);
    std::exchange(done_, nullptr)(std::move(answer));
  }

  env::EventLoop& loop_;
  DnsExchange exchange_;
  DnsDone done_;
  Status failure_;
  env::EventLoop::TimerId timer_ = 0;
  std::unique_ptr<env::DatagramSocket> socket_;
};

}  // namespace

std::unique_ptr<DnsAsking> AskOverUdp(env::EventLoop& loop, const env::Address& server,
                                      DnsQuestion question, Instant deadline, DnsDone done) {
  auto asking = std::make_unique<OverUdp>(loop, std::move(question), deadline, std::move(done));
  asking->Begin(server);
  return asking;
}

}  // namespace tepal::discovery
