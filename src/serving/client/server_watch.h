// What a load costs, seen from outside: the CPU time of the server's process and of this one, and
// what the server's own statistics say about queueing and computing.
//
// A reading is taken at each phase's edge. Requests that are in flight there are counted by one
// phase and paid for by two, which a phase of some seconds does not notice. Owned by one loop.

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/env/event_loop.h"
#include "core/env/file_system.h"
#include "serving/client/v2_client.h"

namespace tepal::client {

// Of one phase.
struct PhaseCost {
  double client_cpu_us = 0;  // This process, a request.
  std::optional<double> server_cpu_us;
  struct Work {  // By the server's statistics; times are of one request, on average.
    double rows_per_execution = 0;
    double queue_us = 0, compute_input_us = 0, compute_infer_us = 0, compute_output_us = 0;
  };
  std::optional<Work> work;  // Empty when the server answered no statistics, or counted nothing.
};

class ServerWatch {
 public:
  struct Options {
    V2Client* statistics = nullptr;  // Null: they are not asked for.
    std::string model;
    Duration time_max = 5s;
    int server_pid = 0;  // 0: its CPU time is not read.
  };

  // `files` (for /proc) and `options.statistics` outlive this.
  ServerWatch(env::FileSystem& files, Options options)
      : files_(files), options_(std::move(options)) {}

  // kNotFound when the server's process cannot be seen.
  Status Check();

  // One reading; the statistics arrive later.
  void Read();

  // Calls `done` once, perhaps now, when every reading is complete.
  void WhenComplete(Function<void()> done);

  // Between reading `phase` and the next one, `requests` were answered.
  PhaseCost CostOf(size_t phase, uint64_t requests) const;

 private:
  struct Reading {
    double client_cpu_s = 0;
    std::optional<double> server_cpu_s;
    std::optional<ModelStatistics> statistics;
  };
  Result<double> CpuSeconds(const std::string& process) const;

  env::FileSystem& files_;
  const Options options_;
  std::vector<Reading> readings_;
  size_t pending_ = 0;
  Function<void()> when_complete_;
};

}  // namespace tepal::client
