// How a subcommand reaches the Kubernetes API: a kubeconfig, or what every pod has.

#pragma once

#include <string>

#include "core/base/result.h"
#include "network/kube/cluster_access.h"

namespace tepal::commands {

// `kubeconfig` empty: that of the pod we are in. Reads environment and files.
Result<kube::ClusterAccess> OpenClusterAccess(const std::string& kubeconfig);

}  // namespace tepal::commands
