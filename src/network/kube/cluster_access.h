// Where the API server is and how to show it who we are.
//
// From a kubeconfig file, or from what every pod finds in its file system. Nothing is checked
// against the server here, and no file but the kubeconfig is read: certificates and tokens may
// change on disk, so their paths are kept and client.h reads them again.
//
// A kubeconfig that asks for a helper program (`exec`, `auth-provider`), a password or a proxy is
// refused by name. One context is taken, the current one unless another is named.

#pragma once

#include <string>
#include <string_view>

#include "core/base/result.h"

namespace tepal::kube {

// A file, or its content inline; both empty: none.
struct Material {
  std::string path;
  std::string content;
  bool empty() const { return path.empty() && content.empty(); }
};

struct ClusterAccess {
  std::string host;  // A name or a numeric address.
  uint16_t port = 443;
  bool tls = true;
  std::string path_prefix;  // "" or "/k8s/clusters/c1".
  std::string tls_server_name;
  bool verify_server = true;
  Material ca;  // Empty: those that the system trusts.
  Material client_certificate, client_key;
  Material token;
  std::string name_space = "default";
};

inline constexpr size_t kKubeconfigBytesMax = 1 << 20;

// Relative paths are relative to `file`. `context` empty: current-context. Errors name the line.
Result<ClusterAccess> ParseKubeconfig(std::string_view text, const std::string& file,
                                      std::string_view context = {});

// Of a pod: `host` and `port` are KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT, `directory`
// is where the service account is mounted, `name_space` is the content of its file of that name.
Result<ClusterAccess> InClusterAccess(
    std::string_view host, std::string_view port, std::string_view name_space,
    const std::string& directory = "/var/run/secrets/kubernetes.io/serviceaccount");

// "https://10.0.0.1:6443/prefix" into host, port, tls and path_prefix.
Status ParseServerUrl(std::string_view url, ClusterAccess& access);

}  // namespace tepal::kube
