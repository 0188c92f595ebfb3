// RepositoryModelLoad and RepositoryModelUnload: calls that block, so they run on an executor.

#pragma once

#include <memory>

#include "core/env/event_loop.h"
#include "core/env/executor.h"
#include "network/http/stream.h"
#include "serving/server_core/server_core.h"

namespace tepal {

struct GrpcControlDoor {
  ServerCore& core;
  env::EventLoop& loop;
  env::Executor& blocking;
  size_t message_bytes_max;
};

// Answered once the work is done, unless the client has gone by then; the work goes on without it.
std::unique_ptr<http::RequestReceiver> GrpcControlModel(const GrpcControlDoor& door, bool load,
                                                        const http::RequestHead& head,
                                                        http::ResponseSender& sender);

}  // namespace tepal
