// Whether the other side of an HTTP/2 connection is still there, and whether it asks that of us too
// often.
//
// State machines without a clock: the connection says what happened and when. The rules are those
// of gRPC (its proposals A8 and A9, and "Keepalive User Guide").

#pragma once

#include <cstdint>
#include <optional>

#include "core/base/time.h"

namespace tepal::http {

struct Limits;

// Sends pings into silence. Any byte from the peer is a sign of life, not the answer alone.
class Http2Keepalive {
 public:
  enum class Due { kNothing, kPing, kDead };

  // `read_at`: when the last byte came. `streams`: whether there are any.
  std::optional<Instant> NextDeadline(const Limits& limits, Instant read_at, bool streams) const;
  // kPing: to be sent now, and taken to be.
  Due OnTime(const Limits& limits, Instant now, Instant read_at, bool streams);

 private:
  bool waiting(Instant read_at) const { return pinged_at_ && read_at <= *pinged_at_; }

  std::optional<Instant> pinged_at_;
};

// Counts the peer's pings that come too often.
class Http2PingGuard {
 public:
  // False: the peer has used up its strikes.
  bool OnPing(const Limits& limits, Instant now, bool streams);

  // Whether the next ping is the first since we have sent HEADERS or DATA. gRPC measures the path
  // so, with a ping for every round trip in which data comes: it is no flood, whatever its rate.
  bool ReactsToUs() const { return !last_ping_; }

  // We have sent HEADERS or DATA, to which a ping may well be the reaction.
  void OnSent() {
    last_ping_.reset();
    strikes_ = 0;
  }

 private:
  std::optional<Instant> last_ping_;
  uint32_t strikes_ = 0;
};

}  // namespace tepal::http
