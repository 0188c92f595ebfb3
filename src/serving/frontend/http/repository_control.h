// POST /v2/repository/models/<model>/load and …/unload.

#pragma once

#include <memory>
#include <string>

#include "core/env/event_loop.h"
#include "core/env/executor.h"
#include "network/http/stream.h"
#include "serving/server_core/server_core.h"

namespace tepal {

struct ModelControlDoor {
  ServerCore& core;
  env::EventLoop& loop;
  env::Executor& blocking;
  uint64_t body_bytes_max;
};

// The body may hold {"parameters":{"config":"…","file:1/model.onnx":"<base64>"}} for a load,
// {"parameters":{"unload_dependents":true}} for an unload. Answered once the work is done, unless
// the client has gone by then; the work goes on without it.
std::unique_ptr<http::RequestReceiver> ControlModel(const ModelControlDoor& door, bool load,
                                                    std::string model,
                                                    const http::RequestHead& head,
                                                    http::ResponseSender& sender);

}  // namespace tepal
