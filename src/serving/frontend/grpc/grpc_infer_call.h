// What ModelInfer and ModelStreamInfer have in common: a message becomes a request, which is given
// to its model.

#pragma once

#include <memory>
#include <vector>

#include "core/base/time.h"
#include "core/env/event_loop.h"
#include "network/http/message.h"
#include "serving/frontend/completion_queue.h"
#include "serving/frontend/grpc/grpc_frontend.h"
#include "serving/frontend/pending_answer.h"
#include "serving/kserve/grpc_infer.h"
#include "serving/server_core/server_core.h"

namespace tepal {

// What every inference of one loop shares; outlives them.
struct GrpcInferDoor {
  ServerCore& core;
  env::EventLoop& loop;
  const GrpcFrontendOptions& options;
  std::shared_ptr<CompletionQueue> completions;
  ModelLoadReporter& model_loads;
};

// What the requests of one call share.
struct GrpcInferCall {
  GrpcInferCall(const GrpcInferDoor& door, const http::RequestHead& head);

  Instant received;
  Instant deadline = Instant::max();  // grpc-timeout.
  std::vector<Parameter> forwarded;   // From the head.
};

// On success the answer comes through `answer`, perhaps before this returns; on an error it has to
// be refused by the caller. `stream`: the call takes any number of requests.
Status GiveToModel(const GrpcInferDoor& door, const GrpcInferCall& call,
                   const kserve::GrpcInferRequest& parsed, bool stream, PendingAnswer& answer);

}  // namespace tepal
