// Versions of the Kubernetes API that are gone, and what replaced them.
// Source: the deprecation guide of kubernetes.io.

#pragma once

#include <optional>
#include <string_view>

namespace tepal::diagnosis {

struct RemovedVersion {
  std::string_view api_version;  // "autoscaling/v2beta1"
  std::string_view kind;         // Empty: every kind of the version that no other line names.
  std::string_view removed_in;   // "1.25"
  std::string_view replacement;  // "autoscaling/v2"; empty: there is none.
};

// Nothing for a version that is served, or that is not Kubernetes' own.
std::optional<RemovedVersion> FindRemovedVersion(std::string_view api_version,
                                                 std::string_view kind);

}  // namespace tepal::diagnosis
