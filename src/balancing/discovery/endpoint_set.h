// The endpoints of one pool, as one source wants them: what the pool has is brought to what is
// wanted, whenever the source says so.
//
// An endpoint is known by its address. New ones are added, missing ones removed (they finish what
// they have), changed ones changed in place where they can be. Endpoints that somebody else added
// are left alone, and so is what somebody else changed of ours until the source changes it. An
// endpoint of ours that somebody removed comes back. Used on the control loop.

#pragma once

#include <map>
#include <string>
#include <vector>

#include "balancing/load_balancer/endpoint_control.h"

namespace tepal::discovery {

struct WantedEndpoint {
  lb::EndpointSpec spec;
  bool down = false;
};

class EndpointSet {
 public:
  // `control` outlives the set.
  explicit EndpointSet(lb::EndpointControl& control) : control_(control) {}

  struct Change {
    size_t added = 0;
    size_t removed = 0;
    size_t changed = 0;
    bool any() const { return added + removed + changed > 0; }
  };
  // Of two with one address the first counts.
  Change Set(const std::vector<WantedEndpoint>& wanted);

  size_t size() const { return known_.size(); }

 private:
  struct Known {
    lb::EndpointId id;
    WantedEndpoint wanted;
  };
  void Add(const WantedEndpoint& wanted);
  bool Update(Known& known, const WantedEndpoint& wanted);

  lb::EndpointControl& control_;
  std::map<std::string, Known> known_;  // By address.
};

}  // namespace tepal::discovery
