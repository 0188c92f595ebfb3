#include "apps/commands/cluster_connection.h"

#include <cstdlib>

#include "apps/commands/cluster_access_files.h"

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
  Result<kube::ClusterAccess> access = ReadClusterAccess(path, flags.context);
  if (path.empty() && !access.ok()) {
    return NotFound("no cluster: expected --kubeconfig, KUBECONFIG, ~/.kube/config, or a pod");
  }
  return access;
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
