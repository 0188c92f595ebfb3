// The agent of one node: brings its GPUs to the MIG configuration that the node's label asks for
// (repartition.h), and, where nobody else does, offers the slots to the kubelet (plugin_set.h) and
// labels the node with what its GPUs are (features.h). On request it says which pods on them had
// better go first (cost_keeper.h).
//
// A slot that a container holds is in use, whether a process runs on it or not: while the kubelet
// cannot say who holds what, nothing is changed. Before a change the free slots are taken back from
// the kubelet, so that no pod is put on one that is about to go.
//
// The driver is used on one thread at a time: the loop's, or the executor's while a change is made.

#pragma once

#include <memory>
#include <string>

#include "core/base/function.h"
#include "core/env/executor.h"
#include "core/env/file_system.h"
#include "network/kube/client.h"
#include "partitioning/mig/driver.h"
#include "partitioning/node_agent/plugin_set.h"
#include "partitioning/node_agent/repartition.h"

namespace tepal::node_agent {

class Agent {
 public:
  struct Options {
    std::string node;
    std::string config_file;
    std::string default_config;  // For a node without the label; empty: it is left alone.
    bool device_plugin = false;
    Strategy strategy = Strategy::kMixed;
    PluginSet::Options plugins;
    bool pod_deletion_costs = false;
    std::string pod_resources = "/var/lib/kubelet/pod-resources/kubelet.sock";
    Repartition::Options repartition;
    Duration tick = 1s;
    Duration look_for_others = 60s;
  };
  struct World {
    env::EventLoop& loop;
    env::FileSystem& files;
    env::Executor& executor;  // One thread.
    env::Random& random;
    kube::Client& client;
    mig::Driver& driver;
    Function<Status()> reboot;  // Empty: it may not.
  };

  Agent(World world, Options options);
  ~Agent();

  void Start();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace tepal::node_agent
