// Asks name servers, one after the other until one answers.
//
// Over UDP with EDNS, because that costs one datagram each way and every name server speaks it;
// over TCP, at the same server, when the answer does not fit into a datagram (a Service of hundreds
// of pods does not). Nobody off the path can forge an answer without guessing the id and the port,
// both drawn for each question. A server that does not answer in time, or says that it cannot, is
// passed over for the next. Used on its loop.

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

inline constexpr size_t kDnsQuestionsMax = 64;  // At a time; more wait for their turn.

class DnsClient {
 public:
  struct Options {
    std::vector<env::Address> servers;  // In order; at least one.
    Duration time_max = 2s;             // For each of them, over UDP and TCP together.
  };

  // `counters`: what was counted before, by the client that this one takes the place of.
  DnsClient(env::EventLoop& loop, Options options, uint64_t seed, const DnsCounters& counters = {});
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
