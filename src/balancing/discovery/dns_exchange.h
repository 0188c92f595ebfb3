// One question to one name server over UDP: a plain state machine without socket and clock.
//
// Datagrams get lost, so the question is sent again while nothing comes, less and less often, with
// the same id: a late answer to an earlier one is as good as any. What does not answer the question
// (another id, another name, not DNS at all) is passed over, since whoever only guesses must not
// end it (RFC 5452). A server that does not know EDNS is asked again without it. Its owner sends,
// receives and says what time it is.

#pragma once

#include <optional>
#include <span>
#include <vector>

#include "balancing/discovery/dns_message.h"
#include "core/base/time.h"

namespace tepal::discovery {

// What fits through every link of today's networks in one piece (dnsflagday.net/2020).
inline constexpr uint16_t kDnsDatagramMax = 1232;
inline constexpr int kDnsSendsMax = 5;            // Of one question to one server.
inline constexpr Duration kDnsSendAgain = 500ms;  // After the first; twice as long each time.

class DnsExchange {
 public:
  // The name is one (WriteDnsQuestion). At `deadline` it is over.
  DnsExchange(DnsQuestion question, Instant deadline);

  enum class Step {
    kWait,   // Until `next`, or another datagram.
    kSend,   // `datagram`; then wait.
    kEnded,  // With `result`; nothing is to be called any more.
  };
  Step OnTime(Instant now);  // At the beginning, and at `next`.
  Step OnDatagram(std::span<const std::byte> datagram, Instant now);

  Instant next() const { return next_; }
  std::span<const std::byte> datagram() const { return datagram_; }
  // An answer that is `truncated` has to be asked for over TCP. kDeadlineExceeded: none in time.
  const Result<DnsAnswer>& result() const { return *result_; }

 private:
  Step Send(Instant now);
  bool WantsNoEdns(const DnsAnswer& answer) const;

  const DnsQuestion question_;
  const Instant deadline_;
  bool edns_ = true;
  int sends_ = 0;
  Instant next_{};
  std::vector<std::byte> datagram_;
  std::optional<Result<DnsAnswer>> result_;
};

}  // namespace tepal::discovery
