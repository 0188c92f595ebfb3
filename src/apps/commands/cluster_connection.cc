#include "apps/commands/cluster_connection.h"

#include <cstdlib>

#include "core/base/text.h"

namespace tepal::commands {
namespace {

std::string Environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

Result<kube::ClusterAccess> Access(const ClusterFlags& flags) {
  env::FileSystem& files = runtime::SystemFileSystem();
  std::string path = flags.kubeconfig;
  if (path.empty()) path = Environment("KUBECONFIG");
  if (path.empty()) {
    const std::string home = Environment("HOME") + "/.kube/config";
    if (files.Stat(home).ok()) path = home;
  }
  if (!path.empty()) {
    ASSIGN_OR_RETURN(const std::string text, files.Read(path, kube::kKubeconfigBytesMax));
    return kube::ParseKubeconfig(text, path, flags.context);
  }
  const auto name_space =
      files.Read("/var/run/secrets/kubernetes.io/serviceaccount/namespace", 4096);
  if (!name_space.ok()) {
    return NotFound("no cluster: expected --kubeconfig, KUBECONFIG, ~/.kube/config, or a pod");
  }
  return kube::InClusterAccess(Environment("KUBERNETES_SERVICE_HOST"),
                               Environment("KUBERNETES_SERVICE_PORT"), *name_space);
}

}  // namespace

void AddClusterFlags(options::FlagSet& set, ClusterFlags& flags) {
  set.Group("The cluster");
  set.Add("kubeconfig", &flags.kubeconfig,
          "how to reach it (default: the variable KUBECONFIG, ~/.kube/config, or the files of a "
          "pod)");
  set.Add("context", &flags.context, "of the kubeconfig, instead of its current one");
}

Result<std::unique_ptr<ClusterConnection>> ClusterConnection::Open(const ClusterFlags& flags) {
  ASSIGN_OR_RETURN(kube::ClusterAccess access, Access(flags));
  std::unique_ptr<ClusterConnection> connection(new ClusterConnection());
  ASSIGN_OR_RETURN(connection->loop_, runtime::EpollLoop::New());
  connection->names_ = runtime::NewThreadPool("resolve", 1);
  connection->resolver_ = net::NewResolver(*connection->names_);
  ASSIGN_OR_RETURN(connection->client_,
                   kube::Client::New(*connection->loop_,
                                     {runtime::SystemFileSystem(), runtime::SystemClock(),
                                      *connection->resolver_},
                                     std::move(access), {.user_agent = "tepal"}));
  return connection;
}

}  // namespace tepal::commands
