// Asks name servers, one question at a time, over TCP.
//
// TCP because an answer may have any size there (a Service of hundreds of pods does not fit into a
// datagram) and nobody off the path can forge one; every name server has to speak it (RFC 7766).
// A server that does not answer is passed over for the next. Used on its loop.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "balancing/discovery/dns_counters.h"
#include "balancing/discovery/dns_message.h"
#include "core/base/function.h"
#include "core/env/event_loop.h"
#include "core/env/random.h"

namespace tepal::discovery {

class DnsClient {
 public:
  struct Options {
    std::vector<env::Address> servers;  // In order; at least one.
    Duration time_max = 2s;             // For each of them.
  };

  DnsClient(env::EventLoop& loop, Options options, uint64_t seed);
  ~DnsClient();  // Questions in progress are given up without a call.

  // `done` runs once, never inside. An answer that says there is no such name is one. kUnavailable:
  // no server answered.
  void Ask(std::string name, DnsType type, Function<void(Result<DnsAnswer>)> done);

  const DnsCounters& counters() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace tepal::discovery
