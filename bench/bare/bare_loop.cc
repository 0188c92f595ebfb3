#include "bench/bare/bare_loop.h"

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iostream>
#include <stdexcept>

namespace tepal_bench {
namespace {

constexpr int kWarmUps = 4;  // TorchScript profiles the first executions and compiles in the next.

double Seconds(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

}  // namespace

BareOptions ReadOptions(int count, char** arguments, int first) {
  if (count != first + 4) {
    std::fprintf(stderr, "usage: %s %sMODEL INPUT ROWS THREADS\n", arguments[0],
                 first > 1 ? "LIBRARY " : "");
    std::exit(2);
  }
  return {arguments[first], arguments[first + 1], std::atoll(arguments[first + 2]),
          std::atoi(arguments[first + 3])};
}

std::vector<float> ReadInput(const BareOptions& options) {
  std::vector<float> values(static_cast<size_t>(options.rows) * kRowFloats);
  std::ifstream file(options.input, std::ios::binary);
  const auto size = static_cast<std::streamsize>(values.size() * sizeof(float));
  if (!file.read(reinterpret_cast<char*>(values.data()), size)) {
    throw std::runtime_error(options.input + " has less than " + std::to_string(options.rows) +
                             " rows");
  }
  return values;
}

int ServeLoop(const std::function<const float*()>& execute) {
  for (int i = 0; i < kWarmUps; ++i) execute();
  const float* results = execute();
  std::printf("ready");
  for (size_t i = 0; i < kRowResults; ++i) std::printf(" %.9g", static_cast<double>(results[i]));
  std::printf("\n");
  std::fflush(stdout);
  for (int64_t executions = 0; std::cin >> executions;) {
    const double wall = Seconds(CLOCK_MONOTONIC);
    const double cpu = Seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (int64_t i = 0; i < executions; ++i) execute();
    std::printf("%.6f %.6f\n", Seconds(CLOCK_MONOTONIC) - wall,
                Seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu);
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace tepal_bench
