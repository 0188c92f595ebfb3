// What one request costs the dispatcher: an admission and its end, under the lock that all loops
// share. Prints nanoseconds for each pool size, alone and with two threads at it.

#include <chrono>
#include <cstdio>
#include <ctime>
#include <memory>
#include <thread>
#include <vector>

#include "balancing/load_balancer/dispatcher.h"
#include "core/base/guarded.h"

namespace tepal::lb {
namespace {

constexpr int kRounds = 1'000'000;

double CpuNanoseconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

struct Shared {
  explicit Shared(int endpoints) : random(1) {
    Dispatcher::Options options;
    options.health.enabled = false;
    auto made = std::make_unique<Dispatcher>(options, random);
    for (int i = 0; i < endpoints; ++i) {
      EndpointSpec spec;
      spec.address = {env::Address::Family::kIp4, "10.0.0.1", static_cast<uint16_t>(1 + i)};
      (void)made->Add(spec, Instant());
    }
    *dispatcher.Lock() = std::move(made);
  }
  env::SeededRandom random;
  Guarded<std::unique_ptr<Dispatcher>> dispatcher;
};

double Measure(Shared& shared) {
  const Instant now(1s);
  const double begun = CpuNanoseconds();
  for (int i = 0; i < kRounds; ++i) {
    Dispatcher::Due due;
    Dispatcher::Admitted admitted;
    {
      auto dispatcher = shared.dispatcher.Lock();
      admitted = (*dispatcher)->Admit({.ticket = static_cast<Ticket>(i + 1)}, now);
      (*dispatcher)->Poll(now, due);
    }
    auto dispatcher = shared.dispatcher.Lock();
    (*dispatcher)->Finish(admitted.grant, TryEnd::kAnswered, 200, now);
    (*dispatcher)->Poll(now, due);
  }
  return (CpuNanoseconds() - begun) / kRounds;
}

}  // namespace
}  // namespace tepal::lb

int main() {
  for (const int endpoints : {1, 7, 16, 100, 10'000}) {
    tepal::lb::Shared shared(endpoints);
    const double alone = tepal::lb::Measure(shared);
    double with_other = 0;
    std::thread other([&] { (void)tepal::lb::Measure(shared); });
    with_other = tepal::lb::Measure(shared);
    other.join();
    std::printf("%5d endpoints: %.0f ns a request alone, %.0f ns with two threads\n", endpoints,
                alone, with_other);
  }
}
