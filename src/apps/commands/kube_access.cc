#include "apps/commands/kube_access.h"

#include <cstdlib>

#include "core/runtime/runtime.h"

namespace tepal::commands {
namespace {

std::string Environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

}  // namespace

Result<kube::ClusterAccess> OpenClusterAccess(const std::string& kubeconfig) {
  env::FileSystem& files = runtime::SystemFileSystem();
  if (!kubeconfig.empty()) {
    ASSIGN_OR_RETURN(const std::string text, files.Read(kubeconfig, kube::kKubeconfigBytesMax));
    return kube::ParseKubeconfig(text, kubeconfig);
  }
  const auto name_space =
      files.Read("/var/run/secrets/kubernetes.io/serviceaccount/namespace", 4096);
  return kube::InClusterAccess(Environment("KUBERNETES_SERVICE_HOST"),
                               Environment("KUBERNETES_SERVICE_PORT"),
                               name_space.ok() ? *name_space : std::string());
}

}  // namespace tepal::commands
