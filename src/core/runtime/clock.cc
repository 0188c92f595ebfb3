#include <sys/random.h>

#include <chrono>
#include <random>

#include "core/runtime/runtime.h"

namespace tepal::runtime {
namespace {

class RealClock final : public env::Clock {
 public:
  Instant Now() const override {
    return std::chrono::time_point_cast<Duration>(std::chrono::steady_clock::now());
  }
  WallTime WallNow() const override {
    return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
  }
};

}  // namespace

const env::Clock& SystemClock() {
  static const RealClock clock;
  return clock;
}

uint64_t RandomSeed() {
  uint64_t seed = 0;
  // Before the kernel's pool is ready, and where the call is filtered, the library's device.
  if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != static_cast<ssize_t>(sizeof(seed))) {
    std::random_device device;
    seed = (static_cast<uint64_t>(device()) << 32) | device();
  }
  return seed;
}

}  // namespace tepal::runtime
