// Which devices the kubelet has given to containers, by its pod resources API: these are in use,
// whether a process has opened them yet or not.

#pragma once

#include <memory>
#include <set>
#include <string>

#include "core/base/result.h"
#include "partitioning/node_agent/unary_call.h"

namespace tepal::node_agent {

// UUIDs of nvidia.com/* devices. `done` as UnaryCall has it.
std::unique_ptr<UnaryCall> AskHeldDevices(env::EventLoop& loop, const std::string& socket,
                                          Function<void(Result<std::set<std::string>>)> done);

}  // namespace tepal::node_agent
