// Datagrams of the simulated network: each takes its own time, so they overtake each other.

#include <cerrno>
#include <cstring>
#include <deque>

#include "core/base/check.h"
#include "core/base/text.h"
#include "sim/simulated_loop.h"
#include "sim/simulated_network.h"

namespace tepal::sim {

constexpr size_t kReceiveQueueMax = 64;  // More are lost, as from a full socket buffer.
constexpr uint64_t kFirstDrawnPort = 32768;
constexpr uint64_t kDrawnPorts = 28232;  // As ip_local_port_range has them.

class SimulatedDatagramSocket final : public env::DatagramSocket, private Pollable {
 public:
  SimulatedDatagramSocket(SimulatedNetwork& network, SimulatedLoop& loop, env::Address local,
                          env::Address peer, Function<void()> on_readable)
      : network_(network),
        loop_(loop),
        local_(std::move(local)),
        peer_(std::move(peer)),
        on_readable_(std::move(on_readable)) {
    loop_.Add(*this);
  }
  ~SimulatedDatagramSocket() override {
    loop_.Remove(*this);
    network_.ForgetDatagrams(local_);
  }

  env::IoResult Send(env::ConstBytes datagram) override {
    if (std::exchange(refused_, false)) return Refused();
    network_.SendDatagram(local_, peer_,
                          std::string(reinterpret_cast<const char*>(datagram.data), datagram.size),
                          {});
    return {env::IoResult::Outcome::kDone, datagram.size, 0};
  }
  env::IoResult Receive(std::span<std::byte> into) override {
    if (std::exchange(refused_, false)) return Refused();
    if (arrived_.empty()) return {};
    const size_t size = std::min(into.size(), arrived_.front().size());
    std::memcpy(into.data(), arrived_.front().data(), size);
    arrived_.pop_front();
    return {env::IoResult::Outcome::kDone, size, 0};
  }

  void Arrive(const env::Address& from, std::string datagram) {
    if (from != peer_ || arrived_.size() >= kReceiveQueueMax) return;
    arrived_.push_back(std::move(datagram));
    loop_.Wake();
  }
  void OnRefused() {
    refused_ = true;
    loop_.Wake();
  }

 private:
  static env::IoResult Refused() { return {env::IoResult::Outcome::kFailed, 0, ECONNREFUSED}; }
  bool Ready() const override { return refused_ || !arrived_.empty(); }
  void Poll() override { on_readable_(); }

  SimulatedNetwork& network_;
  SimulatedLoop& loop_;
  const env::Address local_;
  const env::Address peer_;
  Function<void()> on_readable_;
  std::deque<std::string> arrived_;
  bool refused_ = false;
};

std::unique_ptr<env::DatagramSocket> SimulatedNetwork::OpenDatagrams(SimulatedLoop& loop,
                                                                     const env::Address& peer,
                                                                     Function<void()> on_readable) {
  env::Address local{env::Address::Family::kIp4, "127.0.0.1", 0};
  do {
    local.port = static_cast<uint16_t>(kFirstDrawnPort + world_.random().Below(kDrawnPorts));
  } while (datagram_sockets_.count(local.ToString()) > 0);
  auto socket =
      std::make_unique<SimulatedDatagramSocket>(*this, loop, local, peer, std::move(on_readable));
  datagram_sockets_[local.ToString()] = socket.get();
  return socket;
}

void SimulatedNetwork::SendDatagram(const env::Address& from, const env::Address& to,
                                    const std::string& datagram, Duration after) {
  const int copies = Chance(options_.datagram_twice) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    if (Chance(options_.datagram_loss)) continue;
    At(world_.now() + after + DrawLatency(),
       [this, from, to, datagram] { DeliverDatagram(from, to, datagram); });
  }
}

void SimulatedNetwork::DeliverDatagram(const env::Address& from, const env::Address& to,
                                       std::string datagram) {
  if (const auto socket = datagram_sockets_.find(to.ToString());
      socket != datagram_sockets_.end()) {
    return socket->second->Arrive(from, std::move(datagram));
  }
  if (const auto host = datagram_hosts_.find(to.ToString()); host != datagram_hosts_.end()) {
    return host->second(from, std::move(datagram));
  }
  At(world_.now() + DrawLatency(), [this, from] {
    const auto sender = datagram_sockets_.find(from.ToString());
    if (sender != datagram_sockets_.end()) sender->second->OnRefused();
  });
}

Result<std::unique_ptr<env::DatagramSocket>> SimulatedLoop::OpenDatagrams(
    const env::Address& peer, Function<void()> on_readable) {
  TEPAL_CHECK(InLoopThread());
  if (peer.family == env::Address::Family::kUnix) {
    return InvalidArgument(
        Concat("datagrams to ", peer.ToString(), ": expected an IPv4 or IPv6 address"));
  }
  return network_.OpenDatagrams(*this, peer, std::move(on_readable));
}

void World::ReceiveDatagrams(const env::Address& address, OnDatagram on_datagram) {
  network_->ReceiveDatagrams(address, std::move(on_datagram));
}

void World::SendDatagram(const env::Address& from, const env::Address& to, std::string datagram,
                         Duration after) {
  network_->SendDatagram(from, to, datagram, after);
}

}  // namespace tepal::sim
