// A network in memory: listeners, connections made of two pipes, datagrams.
//
// A pipe carries segments that arrive after a while, in order. Closing a stream with unread bytes,
// or writing to one that is closed, resets the connection as TCP does.

#pragma once

#include <map>
#include <memory>
#include <string>

#include "core/env/datagrams.h"
#include "core/env/event_loop.h"
#include "sim/world.h"

namespace tepal::sim {

class SimulatedLoop;
class SimulatedListener;
class SimulatedDatagramSocket;

class SimulatedNetwork {
 public:
  SimulatedNetwork(World& world, NetworkOptions options) : world_(world), options_(options) {}

  Result<std::unique_ptr<env::Listener>> Listen(
      SimulatedLoop& loop, env::Address address,
      Function<void(std::unique_ptr<env::Stream>)> on_accept);
  std::unique_ptr<env::EventLoop::Connecting> Connect(
      SimulatedLoop& loop, const env::Address& address,
      Function<void(Result<std::unique_ptr<env::Stream>>)> done);

  std::unique_ptr<env::DatagramSocket> OpenDatagrams(SimulatedLoop& loop, const env::Address& peer,
                                                     Function<void()> on_readable);
  void ReceiveDatagrams(const env::Address& address, World::OnDatagram on_datagram) {
    datagram_hosts_[address.ToString()] = std::move(on_datagram);
  }
  void SendDatagram(const env::Address& from, const env::Address& to, const std::string& datagram,
                    Duration after);

  World& world() { return world_; }
  const NetworkOptions& options() const { return options_; }

  // Used by listeners and streams.
  void Forget(const env::Address& address) { listeners_.erase(address.ToString()); }
  void ForgetDatagrams(const env::Address& at) { datagram_sockets_.erase(at.ToString()); }
  Duration DrawLatency() { return world_.Draw(options_.latency_min, options_.latency_max); }
  void At(Instant when, env::Task task) { world_.At(when, std::move(task)); }
  bool Chance(double probability) { return world_.Chance(probability); }
  // Two ends of a new connection: the client's, the server's.
  std::pair<std::unique_ptr<env::Stream>, std::unique_ptr<env::Stream>> NewConnection(
      const env::Address& server);

 private:
  friend class SimulatedConnecting;
  SimulatedListener* Find(const env::Address& address);
  void DeliverDatagram(const env::Address& from, const env::Address& to, std::string datagram);

  World& world_;
  const NetworkOptions options_;
  std::map<std::string, SimulatedListener*> listeners_;
  std::map<std::string, SimulatedDatagramSocket*> datagram_sockets_;
  std::map<std::string, World::OnDatagram> datagram_hosts_;
  uint16_t next_port_ = 20000;
};

}  // namespace tepal::sim
