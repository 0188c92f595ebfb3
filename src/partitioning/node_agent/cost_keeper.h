// Keeps the deletion costs of the pods on this node's MIG devices as deletion_costs.h has them.
//
// It asks the kubelet who holds what, and lists and patches pods only when that or the layout has
// changed, or `look_again` has passed; one patch at a time. A pod that changed in between is seen
// again next time.

#pragma once

#include <memory>
#include <vector>

#include "core/env/event_loop.h"
#include "network/kube/client.h"
#include "partitioning/mig/driver.h"

namespace tepal::node_agent {

class CostKeeper {
 public:
  struct Options {
    std::string node;
    std::string pod_resources;  // The kubelet's socket.
    Duration ask = 5s;
    Duration look_again = 60s;
  };

  CostKeeper(env::EventLoop& loop, kube::Client& client, Options options);
  ~CostKeeper();

  // Often, with what is there now.
  void Tick(const std::vector<mig::Gpu>& gpus);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace tepal::node_agent
