#include "apps/supervisor/replica_process.h"

#include <csignal>
#include <cstring>
#include <utility>

#include "core/base/text.h"

namespace tepal::supervisor {

Result<ReplicaProcess> ReplicaProcess::Start(ReplicaId id, int slot, const Plan& plan,
                                             BindListener& bind, env::ProcessStarter& processes,
                                             Instant now,
                                             Function<void(env::ProcessExit)> on_exit) {
  const env::Address any{env::Address::Family::kIp4, "127.0.0.1", 0};
  ASSIGN_OR_RETURN(const std::unique_ptr<env::BoundSocket> http, bind(any));
  ASSIGN_OR_RETURN(const std::unique_ptr<env::BoundSocket> metrics, bind(any));
  std::unique_ptr<env::BoundSocket> grpc;
  if (plan.grpc) {
    ASSIGN_OR_RETURN(grpc, bind(any));
  }
  env::ProcessOptions options;
  options.program = plan.program;
  options.arguments = plan.arguments;
  options.log_path = plan.log_path;
  if (!plan.device.empty()) options.environment = {{"CUDA_VISIBLE_DEVICES", plan.device}};
  options.listen_descriptors = {http->descriptor(), metrics->descriptor()};
  if (grpc != nullptr) options.listen_descriptors.push_back(grpc->descriptor());
  ReplicaProcess replica;
  ASSIGN_OR_RETURN(replica.process, processes.Start(std::move(options), std::move(on_exit)));
  replica.id = id;
  replica.slot = slot;
  replica.http = http->address();
  replica.metrics = metrics->address();
  if (grpc != nullptr) replica.grpc = grpc->address();
  replica.started = now;
  replica.last_heard = now;
  return replica;
}

std::string Describe(const env::ProcessExit& exit) {
  if (!exit.signalled) return Concat("exit code ", exit.code);
  const char* const name = sigabbrev_np(exit.code);
  return Concat("killed by signal ", exit.code, " (SIG", name == nullptr ? "?" : name, ")");
}

}  // namespace tepal::supervisor
