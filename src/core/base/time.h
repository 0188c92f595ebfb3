// Instants and durations.
//
// Nothing outside core/runtime reads a clock: `now` comes in as an argument or from env::Clock.

#pragma once

#include <chrono>
#include <cstdint>

namespace tepal {

using Duration = std::chrono::nanoseconds;

// Monotonic; the epoch means nothing.
using Instant = std::chrono::time_point<std::chrono::steady_clock, Duration>;

// Wall time, for logs and timestamps on the wire only: it may step.
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

using std::chrono_literals::operator""ns;
using std::chrono_literals::operator""us;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

inline int64_t ToMicroseconds(Duration d) {
  return std::chrono::duration_cast<std::chrono::microseconds>(d).count();
}
inline double ToMilliseconds(Duration d) {
  return std::chrono::duration<double, std::milli>(d).count();
}
inline double ToSeconds(Duration d) { return std::chrono::duration<double>(d).count(); }
inline Duration FromSeconds(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

}  // namespace tepal
