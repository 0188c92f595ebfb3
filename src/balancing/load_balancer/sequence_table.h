// Which endpoint a sequence of requests is with: all of a sequence go to the one that its first
// went to, because the model's state is there.
//
// At most kSequencesMax are known; beyond that the one heard of longest ago is forgotten, and so is
// one that has been silent for kIdleMax. A plain state machine.

#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <unordered_map>

#include "balancing/load_balancer/endpoint.h"
#include "core/base/time.h"

namespace tepal::lb {

class SequenceTable {
 public:
  static constexpr size_t kSequencesMax = 65'536;
  static constexpr Duration kIdleMax = 600s;

  // Where it is; nothing when it is not known.
  std::optional<EndpointId> Find(uint64_t sequence, Instant now);

  // It is there now.
  void Bind(uint64_t sequence, EndpointId endpoint, Instant now);
  void Forget(uint64_t sequence);
  size_t size() const { return by_name_.size(); }

 private:
  struct Entry {
    uint64_t sequence;
    EndpointId endpoint;
    Instant last;
  };
  void ForgetOld(Instant now);

  std::list<Entry> entries_;  // The one heard of longest ago first.
  std::unordered_map<uint64_t, std::list<Entry>::iterator> by_name_;
};

}  // namespace tepal::lb
