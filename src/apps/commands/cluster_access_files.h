// The way to the API server of Kubernetes, from a kubeconfig or from what a pod finds.

#pragma once

#include <string>

#include "core/base/result.h"
#include "network/kube/cluster_access.h"

namespace tepal::commands {

// `kubeconfig` empty: the pod's own files and variables. `context` empty: the current one.
Result<kube::ClusterAccess> ReadClusterAccess(const std::string& kubeconfig,
                                              const std::string& context = "");

}  // namespace tepal::commands
