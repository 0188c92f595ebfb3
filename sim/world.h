// A simulated world: event loops, a network and a clock, driven by one seed.
//
// Time is virtual and moves from one event to the next, so hours pass in milliseconds and nothing
// sleeps. Whatever order the real world leaves open is drawn from the seed: which loop has its turn
// first, how many bytes a read gives, when a segment arrives, whether a connection is reset. The
// same seed gives the same run. One thread; the loops only pretend to have threads of their own.
//
// For tests of any room; production code cannot reach it.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/env/clock.h"
#include "core/env/event_loop.h"
#include "core/env/random.h"

namespace tepal::sim {

class SimulatedLoop;
class SimulatedNetwork;

// How the network treats connections.
struct NetworkOptions {
  Duration latency_min = 10us;  // Of one segment, one way.
  Duration latency_max = 500us;
  size_t segment_bytes_max = 16 * 1024;    // Sent in one piece; each size is drawn below it.
  size_t in_flight_bytes_max = 64 * 1024;  // Written and not yet read: more does not fit.
  double short_read = 0.3;                 // Probability that a read gives less than there is.
  double refuse_write = 0.1;               // Probability that a write takes nothing now.
  double reset = 0.0;               // Probability that a connection is reset, at some time …
  Duration reset_after_max = 20ms;  // … within this after it stands.
  double connect_timeout = 0.0;     // Probability that nobody answers a connect.
  double datagram_loss = 0.0;       // Probability that a datagram never arrives,
  double datagram_twice = 0.0;      // and that it arrives a second time.
};

class World {
 public:
  explicit World(uint64_t seed, NetworkOptions network = {});
  ~World();  // Whatever lives on the loops has been destroyed before.

  env::EventLoop& AddLoop();

  // A host beyond the loops: gets the datagrams that are sent to `address`. To an address without
  // one they are refused, as a closed port does.
  using OnDatagram = Function<void(const env::Address& from, std::string datagram)>;
  void ReceiveDatagrams(const env::Address& address, OnDatagram on_datagram);
  // From whatever address one likes; `after` it, the network takes its time.
  void SendDatagram(const env::Address& from, const env::Address& to, std::string datagram,
                    Duration after = {});

  const env::Clock& clock() const { return clock_; }
  env::Random& random() { return random_; }
  Instant now() const { return now_; }

  // Lets the world go on until `done` or until `time_max` of virtual time is over; whether it was
  // done. Without anything left to happen, time jumps to the end.
  bool RunUntil(Function<bool()> done, Duration time_max);
  void RunFor(Duration time) {
    RunUntil([] { return false; }, time);
  }

 private:
  friend class SimulatedLoop;
  friend class SimulatedNetwork;

  class WorldClock final : public env::Clock {
   public:
    explicit WorldClock(const World& world) : world_(world) {}
    Instant Now() const override { return world_.now_; }
    WallTime WallNow() const override;

   private:
    const World& world_;
  };

  // An event of the world itself: a segment arrives, a connection breaks.
  void At(Instant when, env::Task task);
  Duration Draw(Duration low, Duration high);
  bool Chance(double probability) { return random_.Unit() < probability; }
  // Runs the next event; false when there is none before `end`.
  bool Step(Instant end);

  env::SeededRandom random_;
  Instant now_{};
  WorldClock clock_{*this};
  std::map<std::pair<Instant, uint64_t>, env::Task> events_;
  uint64_t events_made_ = 0;
  const SimulatedLoop* running_ = nullptr;  // Whose "thread" this is.
  std::unique_ptr<SimulatedNetwork> network_;
  std::vector<std::unique_ptr<SimulatedLoop>> loops_;
};

}  // namespace tepal::sim
