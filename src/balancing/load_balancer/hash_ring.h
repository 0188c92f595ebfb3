// Consistent hashing: which endpoint a key belongs to, so that a change of the endpoints moves only
// the keys that must move.
//
// Every endpoint has kPointsOfWeight points for each of its weight on a circle of 64 bits (Karger's
// ring, as ketama has it); a key belongs to the first point after it. Points are made from the
// endpoint's address, so that several balancers agree without speaking to each other. Changes are
// merged in when the next key is asked for: one pass over the ring, however many there were.
// A plain data structure; whether an endpoint may be used now is the caller's to say.

#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "balancing/load_balancer/endpoint.h"

namespace tepal::lb {

// Never 0. The same everywhere and for ever.
uint64_t HashOfText(std::string_view text, uint64_t seed = 0);

class HashRing {
 public:
  static constexpr uint32_t kPointsOfWeight = 160;
  static constexpr uint32_t kWeightMax = 100;  // More counts as that.
  static constexpr size_t kWalkMax = 4096;     // Points that one search looks at.

  // An endpoint is added once; to change its weight, remove it first.
  void Add(EndpointId id, std::string_view address, uint32_t weight);
  void Remove(EndpointId id);

  // The first endpoint from `key` on that `take` agrees to; nothing when none of those looked at
  // does. `take` may be asked about an endpoint more than once.
  template <typename Take>
  std::optional<EndpointId> Find(uint64_t key, Take take) {
    Settle();
    const size_t size = points_.size();
    const size_t looks = std::min(size, kWalkMax);
    size_t at = IndexOf(key);
    EndpointId refused = 0;
    for (size_t i = 0; i < looks; ++i, ++at) {
      if (at >= size) at = 0;
      if (points_[at].id == refused) continue;
      if (take(points_[at].id)) return points_[at].id;
      refused = points_[at].id;
    }
    return std::nullopt;
  }

  size_t points() {
    Settle();
    return points_.size();
  }

 private:
  struct Point {
    uint64_t at;
    EndpointId id;
    bool operator<(const Point& other) const {
      return at != other.at ? at < other.at : id < other.id;
    }
  };
  void Settle();
  size_t IndexOf(uint64_t key) const;

  std::vector<Point> points_;  // In order.
  std::vector<Point> added_;   // Not among them yet.
  std::unordered_set<EndpointId> removed_;
};

}  // namespace tepal::lb
