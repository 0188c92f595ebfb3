// One `tepal serve` process: started with sockets of its own, asked how it is, stopped by signals.
//
// Its sockets are bound here, on 127.0.0.1 with ports of the system's choosing, and handed over
// (LISTEN_FDS: HTTP, metrics and, where it serves it, gRPC). This process keeps no copy, so that a
// port stops answering when its replica dies. Lives on the supervisor's loop.

#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/supervisor/replica_set.h"
#include "apps/supervisor/traffic.h"
#include "core/base/function.h"
#include "core/base/result.h"
#include "core/env/bound_socket.h"
#include "core/env/process.h"

namespace tepal::supervisor {

using BindListener = Function<Result<std::unique_ptr<env::BoundSocket>>(const env::Address&)>;

// GET `path` of `to`: the body when the answer is 200, an error otherwise. `done` runs exactly
// once, never inside the call; it may run after the caller has gone.
using Fetch = Function<void(const env::Address& to, std::string_view path, Duration time_max,
                            Function<void(Result<std::string>)> done)>;

struct ReplicaProcess {
  ReplicaId id = 0;
  int slot = 0;
  std::unique_ptr<env::Process> process;
  env::Address http;
  env::Address metrics;
  std::optional<env::Address> grpc;
  EndpointId endpoint = 0;  // 0: has no traffic.
  Instant started{};
  Instant last_heard{};  // When it last answered.
  bool asking = false;   // A fetch is in progress.
  Instant asked{};

  struct Plan {
    std::string program;
    std::vector<std::string> arguments;
    std::string log_path;
    std::string device;  // For CUDA_VISIBLE_DEVICES; empty: as it is here.
    bool grpc = true;
  };
  // `on_exit` as env::ProcessStarter has it.
  static Result<ReplicaProcess> Start(ReplicaId id, int slot, const Plan& plan, BindListener& bind,
                                      env::ProcessStarter& processes, Instant now,
                                      Function<void(env::ProcessExit)> on_exit);
};

// "killed by signal 9 (SIGKILL)", "exit code 1".
std::string Describe(const env::ProcessExit& exit);

}  // namespace tepal::supervisor
