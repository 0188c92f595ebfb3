#include "sim/simulated_network.h"

#include <deque>

#include "core/base/text.h"
#include "sim/simulated_stream.h"

namespace tepal::sim {

class SimulatedListener final : public env::Listener, private Pollable {
 public:
  SimulatedListener(SimulatedNetwork& network, SimulatedLoop& loop, env::Address address,
                    Function<void(std::unique_ptr<env::Stream>)> on_accept)
      : network_(network),
        loop_(loop),
        address_(std::move(address)),
        on_accept_(std::move(on_accept)) {
    loop_.Add(*this);
  }
  ~SimulatedListener() override {
    loop_.Remove(*this);
    network_.Forget(address_);
    // What was not accepted is reset.
    for (const auto& stream : backlog_) stream->AbortOnClose();
  }

  env::Address address() const override { return address_; }
  void Pause(bool paused) override {
    paused_ = paused;
    if (Ready()) loop_.Wake();
  }
  void AcceptWaiting() override { Poll(); }
  void Offer(std::unique_ptr<env::Stream> stream) {
    backlog_.push_back(std::move(stream));
    if (Ready()) loop_.Wake();
  }

 private:
  bool Ready() const override { return !paused_ && !backlog_.empty(); }
  void Poll() override {
    const std::weak_ptr<int> alive = alive_;
    while (!alive.expired() && Ready()) {
      std::unique_ptr<env::Stream> stream = std::move(backlog_.front());
      backlog_.pop_front();
      on_accept_(std::move(stream));
    }
  }

  SimulatedNetwork& network_;
  SimulatedLoop& loop_;
  const env::Address address_;
  Function<void(std::unique_ptr<env::Stream>)> on_accept_;
  std::deque<std::unique_ptr<env::Stream>> backlog_;
  bool paused_ = false;
  const std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

// An attempt to connect: asked over the network, answered in a turn of its loop.
class SimulatedConnecting final : public env::EventLoop::Connecting, private Pollable {
 public:
  using Done = Function<void(Result<std::unique_ptr<env::Stream>>)>;

  SimulatedConnecting(SimulatedNetwork& network, SimulatedLoop& loop, env::Address address,
                      Done done)
      : network_(network), loop_(loop), address_(std::move(address)), done_(std::move(done)) {
    loop_.Add(*this);
    if (network_.Chance(network_.options().connect_timeout)) return;  // Never answered.
    network_.At(network_.world().now() + network_.DrawLatency(),
                [alive = std::weak_ptr<int>(alive_), this] {
                  if (!alive.expired()) Arrive();
                });
  }
  ~SimulatedConnecting() override { loop_.Remove(*this); }

 private:
  void Arrive() {
    if (SimulatedListener* const listener = network_.Find(address_)) {
      auto [client, server] = network_.NewConnection(address_);
      listener->Offer(std::move(server));
      answer_.emplace(std::move(client));
    } else {
      answer_.emplace(
          Unavailable(Concat("connecting to ", address_.ToString(), ": Connection refused")));
    }
    loop_.Wake();
  }
  bool Ready() const override { return answer_.has_value(); }
  void Poll() override {
    Result<std::unique_ptr<env::Stream>> answer = *std::move(answer_);
    answer_.reset();
    Done done = std::move(done_);
    done(std::move(answer));  // May destroy this.
  }

  SimulatedNetwork& network_;
  SimulatedLoop& loop_;
  const env::Address address_;
  Done done_;
  std::optional<Result<std::unique_ptr<env::Stream>>> answer_;
  const std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

SimulatedListener* SimulatedNetwork::Find(const env::Address& address) {
  const auto found = listeners_.find(address.ToString());
  return found == listeners_.end() ? nullptr : found->second;
}

Result<std::unique_ptr<env::Listener>> SimulatedNetwork::Listen(
    SimulatedLoop& loop, env::Address address,
    Function<void(std::unique_ptr<env::Stream>)> on_accept) {
  if (address.port == 0 && address.family != env::Address::Family::kUnix) {
    address.port = next_port_++;
  }
  if (Find(address) != nullptr) {
    return AlreadyExists(Concat("address ", address.ToString(), " is in use by the simulation"));
  }
  auto listener = std::make_unique<SimulatedListener>(*this, loop, address, std::move(on_accept));
  listeners_[address.ToString()] = listener.get();
  return std::unique_ptr<env::Listener>(std::move(listener));
}

std::unique_ptr<env::EventLoop::Connecting> SimulatedNetwork::Connect(
    SimulatedLoop& loop, const env::Address& address,
    Function<void(Result<std::unique_ptr<env::Stream>>)> done) {
  return std::make_unique<SimulatedConnecting>(*this, loop, address, std::move(done));
}

std::pair<std::unique_ptr<env::Stream>, std::unique_ptr<env::Stream>>
SimulatedNetwork::NewConnection(const env::Address& server) {
  auto link = std::make_shared<Link>();
  const env::Address client{env::Address::Family::kIp4, "127.0.0.1", next_port_++};
  if (Chance(options_.reset)) {
    const Duration after = world_.Draw(Duration::zero(), options_.reset_after_max);
    At(world_.now() + after, [link] {
      for (const Link::Side& side : link->sides) {
        if (side.stream != nullptr) side.stream->OnReset();
      }
    });
  }
  return {std::make_unique<SimulatedStream>(*this, link, 0, client, server),
          std::make_unique<SimulatedStream>(*this, link, 1, server, client)};
}

}  // namespace tepal::sim
