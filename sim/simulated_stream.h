// One end of a simulated connection.

#pragma once

#include <array>
#include <memory>
#include <string>

#include "sim/simulated_loop.h"
#include "sim/simulated_network.h"

namespace tepal::sim {

class SimulatedStream;

// A connection as its two ends share it. `sides[i]` is what end i sends and the other reads.
struct Link {
  struct Side {
    std::string arrived;     // To be read.
    size_t in_flight = 0;    // Sent and not yet arrived.
    Instant last_arrival{};  // Nothing overtakes what was sent before.
    bool ended = false;      // The end has arrived, behind everything.
    SimulatedStream* stream = nullptr;
  };
  std::array<Side, 2> sides;
};

class SimulatedStream final : public env::Stream, private Pollable {
 public:
  SimulatedStream(SimulatedNetwork& network, std::shared_ptr<Link> link, size_t side,
                  env::Address local, env::Address peer);
  ~SimulatedStream() override;

  void Attach(env::EventLoop& loop, env::StreamEvents& events) override;
  void Watch(bool readable, bool writable) override;
  env::IoResult Read(std::span<std::byte> into) override;
  env::IoResult Write(std::span<const env::ConstBytes> pieces) override;
  void ShutdownWrite() override;
  void AbortOnClose() override { abort_ = true; }
  env::Address local_address() const override { return local_; }
  env::Address peer_address() const override { return peer_; }

  // A reset has arrived here.
  void OnReset();

 private:
  Link::Side& out() const { return link_->sides[side_]; }
  Link::Side& in() const { return link_->sides[1 - side_]; }
  bool Ready() const override;
  void Poll() override;
  void Notify();
  bool CanRead() const { return !in().arrived.empty() || in().ended || reset_; }
  bool CanWrite() const { return reset_ || Room() > 0; }
  size_t Room() const;
  // Runs `arrive` where and when what is sent now arrives: behind what was sent before.
  void Send(env::Task arrive);
  void SendSegment(std::string bytes);
  void SendEnd();
  void SendReset();

  SimulatedNetwork& network_;
  const std::shared_ptr<Link> link_;
  const size_t side_;
  const env::Address local_;
  const env::Address peer_;
  SimulatedLoop* loop_ = nullptr;
  env::StreamEvents* events_ = nullptr;
  bool watch_readable_ = false;
  bool watch_writable_ = false;
  bool write_shut_ = false;
  bool reset_ = false;
  bool abort_ = false;
  const std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace tepal::sim
