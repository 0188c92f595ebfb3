// Services of a Kubernetes cluster whose EndpointSlices are watched: a change is known as soon as
// the API server has it. While the API server cannot be reached everything stays as it was last.
// Used on its loop.

#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "balancing/discovery/endpoint_slices.h"
#include "core/base/function.h"
#include "core/env/event_loop.h"
#include "core/env/random.h"
#include "network/kube/client.h"

namespace tepal::discovery {

class KubeWatch {
 public:
  // The loop outlives it.
  KubeWatch(env::EventLoop& loop, std::unique_ptr<kube::Client> client, uint64_t seed);
  ~KubeWatch();

  struct Counters {
    uint64_t changes = 0;    // Of what was found.
    uint64_t failed = 0;     // Lists and watches.
    std::string last_error;  // Of the last one that failed since something changed.
  };

  // Watches another Service; `on_change` runs whenever its endpoints are others, the first time
  // included, and may remove it. A Service without a namespace is in the client's own.
  uint64_t Add(KubeService service, Function<void(const KubeFound&)> on_change);
  void Remove(uint64_t number);
  std::vector<std::pair<std::string, Counters>> Read() const;  // By "namespace/name".

 private:
  struct Watched;
  void Later(uint64_t number);
  void Look(uint64_t number);

  env::EventLoop& loop_;
  std::unique_ptr<kube::Client> client_;
  env::SeededRandom random_;
  std::map<uint64_t, std::unique_ptr<Watched>> watched_;
  uint64_t last_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace tepal::discovery
