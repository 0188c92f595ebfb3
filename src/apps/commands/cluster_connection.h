// One connection to a Kubernetes cluster for a command that asks and ends.

#pragma once

#include <memory>
#include <string>

#include "core/options/flags.h"
#include "core/runtime/runtime.h"
#include "network/kube/client.h"

namespace tepal::commands {

struct ClusterFlags {
  std::string kubeconfig;
  std::string context;
};
void AddClusterFlags(options::FlagSet& set, ClusterFlags& flags);

class ClusterConnection {
 public:
  // The kubeconfig of the flag, else of the variable KUBECONFIG, else ~/.kube/config, else what a
  // pod finds in its files. Connects with the first request.
  static Result<std::unique_ptr<ClusterConnection>> Open(const ClusterFlags& flags);

  env::EventLoop& loop() { return *loop_; }
  runtime::EpollLoop& epoll() { return *loop_; }
  kube::Client& client() { return *client_; }

 private:
  ClusterConnection() = default;
  std::unique_ptr<runtime::EpollLoop> loop_;
  std::unique_ptr<env::Executor> names_;
  std::unique_ptr<net::Resolver> resolver_;
  std::unique_ptr<kube::Client> client_;
};

}  // namespace tepal::commands
