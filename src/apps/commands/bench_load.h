// What `tepal bench` sends: the tensors, and where they go.

#pragma once

#include <memory>
#include <vector>

#include "apps/commands/bench_flags.h"
#include "apps/commands/client_connection.h"
#include "serving/client/load_target.h"
#include "serving/client/shared_tensors.h"

namespace tepal::commands {

// The requests that are sent in turn: one, or one for each photo.
Result<std::vector<client::InferCall>> MakeCalls(ClientConnection& connection,
                                                 const BenchFlags& flags,
                                                 const client::ModelDeclaration& model);

struct BenchLoad {
  std::vector<std::unique_ptr<net::HttpClient>> connections;
  std::unique_ptr<client::SharedTensors> shared;  // Registered with the server; may be null.
  std::unique_ptr<client::LoadTarget> target;
};
Result<BenchLoad> MakeLoad(ClientConnection& connection, const BenchFlags& flags,
                           const std::vector<client::LoadPhase>& phases,
                           std::vector<client::InferCall> calls);

}  // namespace tepal::commands
