// Whether somebody else offers this node's GPUs to Kubernetes already: two device plugins for one
// resource take turns in the kubelet, and both are wrong. Pure.

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "network/kube/api.h"

namespace tepal::node_agent {

// Who, for a person: a DaemonSet whose name, labels or images are those of NVIDIA's device plugin,
// its DRA driver or the GPU operator, or a socket in the kubelet's folder. Empty: nobody.
std::optional<std::string> FindOtherPlugin(const std::vector<json::Value>& daemon_sets,
                                           const std::vector<std::string>& sockets);

}  // namespace tepal::node_agent
