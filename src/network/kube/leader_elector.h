// Leader election over the API: leader_election.h with a client under it.
//
//   kube::LeaderElector elector(loop, *client, {"tepal-system", "metrics-api"}, {.identity = pod});
//   elector.Start([&](bool leading) { ... });
//   ...
//   elector.Resign([&] { stop the loop; });
//
// `on_change(false)` comes in time, before anybody else may lead, also when the API server cannot
// be reached.

#pragma once

#include <memory>

#include "network/kube/client.h"
#include "network/kube/leader_election.h"

namespace tepal::kube {

class LeaderElector {
 public:
  struct Lease {
    std::string name_space;
    std::string name;
  };
  // `client` outlives it.
  LeaderElector(env::EventLoop& loop, Client& client, Lease lease, LeaderElection::Options options);
  ~LeaderElector();  // Without telling anybody: the lease runs out.

  void Start(Function<void(bool leading)> on_change);
  bool leading() const;

  // Gives the lease back. `done` runs once, at the latest after a renew_deadline.
  void Resign(Function<void()> done);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace tepal::kube
