#include "network/http/http2_liveness.h"

#include <algorithm>

#include "network/http/session.h"

namespace tepal::http {

namespace {

// A connection without streams may only be probed so often, unless it is allowed expressly.
constexpr Duration kIdlePingIntervalMin = 7200s;

bool Wanted(const Limits& limits, bool streams) {
  return limits.keepalive_time > Duration(0) && (streams || limits.keepalive_without_streams);
}

}  // namespace

std::optional<Instant> Http2Keepalive::NextDeadline(const Limits& limits, Instant read_at,
                                                    bool streams) const {
  if (waiting(read_at)) return *pinged_at_ + limits.keepalive_timeout;
  if (!Wanted(limits, streams)) return std::nullopt;
  return read_at + limits.keepalive_time;
}

Http2Keepalive::Due Http2Keepalive::OnTime(const Limits& limits, Instant now, Instant read_at,
                                           bool streams) {
  const std::optional<Instant> due = NextDeadline(limits, read_at, streams);
  if (!due || now < *due) return Due::kNothing;
  if (waiting(read_at)) return Due::kDead;
  pinged_at_ = now;
  return Due::kPing;
}

bool Http2PingGuard::OnPing(const Limits& limits, Instant now, bool streams) {
  const Duration apart = streams || limits.keepalive_without_streams
                             ? limits.ping_interval_min
                             : std::max(limits.ping_interval_min, kIdlePingIntervalMin);
  const bool strike = last_ping_ && now < *last_ping_ + apart;
  last_ping_ = now;
  if (strike) ++strikes_;
  return limits.ping_strikes_max == 0 || strikes_ <= limits.ping_strikes_max;
}

}  // namespace tepal::http
