// What name servers were asked and what came of it: what NGINX Plus's API says of a resolver.
//
// A question to one server counts once, and so does its end. Owned by one loop.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "balancing/discovery/dns_message.h"
#include "core/base/result.h"

namespace tepal::discovery {

struct DnsCounters {
  uint64_t names = 0;     // Questions for addresses,
  uint64_t services = 0;  // and for SRV records.
  // Answers by RCODE: NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED.
  std::array<uint64_t, 6> codes{};
  uint64_t timed_out = 0;
  uint64_t unknown = 0;  // Any other end.

  void CountQuestion(DnsType type) { ++(type == DnsType::kSrv ? services : names); }

  // kDeadlineExceeded: there was no answer in time.
  void CountEnd(const Result<DnsAnswer>& end) {
    if (!end.ok()) {
      ++(end.status().code() == StatusCode::kDeadlineExceeded ? timed_out : unknown);
    } else if (const auto code = static_cast<size_t>(end->code); code < codes.size()) {
      ++codes[code];
    } else {
      ++unknown;
    }
  }
};

}  // namespace tepal::discovery
