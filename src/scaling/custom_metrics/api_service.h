// Whose the metrics API is: the APIService objects that tell the cluster where to send requests.
//
// There is one server for each version of a group. One that belongs to another Service is left
// alone unless we are told to take it over; one that is ours gets our authority into its caBundle,
// beside those of other replicas. Pure; api_service_keeper.h asks and acts.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/json/value.h"

namespace tepal::custom_metrics {

struct ApiServiceWish {
  std::string group, version;
  std::string name_space, service;  // That ours is reached by.
  uint16_t port = 443;
  std::string ca;  // PEM of the authority of our certificate; empty: somebody else keeps caBundle.
  bool register_missing = false;
  bool take_over = false;

  std::string name() const { return version + "." + group; }
};

struct ApiServiceStep {
  enum class Kind {
    kNone,     // It is ours and as it should be.
    kMissing,  // There is none, and nobody told us to make it. `says`.
    kCreate,   // `object`.
    kPatch,    // `object`: a merge patch.
    kRefused,  // It is somebody else's. `says` whose.
  };
  Kind kind = Kind::kNone;
  std::string object;
  std::string says;
};

// `present`: the object, or null when there is none.
ApiServiceStep Decide(const json::Value* present, const ApiServiceWish& wish);

// The certificates of both, each once; of too many the first go. kBundleMax is of certificates.
inline constexpr size_t kBundleMax = 8;
std::string MergeBundles(std::string_view present, std::string_view ours);

}  // namespace tepal::custom_metrics
