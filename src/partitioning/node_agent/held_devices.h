// Which devices the kubelet has given to containers, by its pod resources API: these are in use,
// whether a process has opened them yet or not.

#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "partitioning/node_agent/unary_call.h"

namespace tepal::node_agent {

// UUIDs of nvidia.com/* devices that one pod holds; never none.
struct PodDevices {
  std::string name_space, name;
  std::set<std::string> devices;
  bool operator==(const PodDevices&) const = default;
};

// `done` as UnaryCall has it. By namespace and name.
std::unique_ptr<UnaryCall> AskPodDevices(env::EventLoop& loop, const std::string& socket,
                                         Function<void(Result<std::vector<PodDevices>>)> done);

// All of them, whoever holds them.
std::unique_ptr<UnaryCall> AskHeldDevices(env::EventLoop& loop, const std::string& socket,
                                          Function<void(Result<std::set<std::string>>)> done);

}  // namespace tepal::node_agent
