// One question to one name server, over UDP or over TCP. Used on its loop.

#pragma once

#include <memory>

#include "balancing/discovery/dns_message.h"
#include "core/base/function.h"
#include "core/env/event_loop.h"

namespace tepal::discovery {

// A question in progress. Destroyed: it is given up without a call.
class DnsAsking {
 public:
  virtual ~DnsAsking() = default;
};

// Runs once, never inside the call that asks, and must not destroy the DnsAsking. Whatever the
// server answers is an answer. kDeadlineExceeded: nothing until then.
using DnsDone = Function<void(Result<DnsAnswer>)>;

// From a port of its own, drawn at random: dns_exchange.h says when it is asked again and what
// counts as an answer. One that is `truncated` has to be asked for over TCP.
std::unique_ptr<DnsAsking> AskOverUdp(env::EventLoop& loop, const env::Address& server,
                                      DnsQuestion question, Instant deadline, DnsDone done);

std::unique_ptr<DnsAsking> AskOverTcp(env::EventLoop& loop, const env::Address& server,
                                      const DnsQuestion& question, Instant deadline, DnsDone done);

}  // namespace tepal::discovery
