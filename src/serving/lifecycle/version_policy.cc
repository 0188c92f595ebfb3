#include "serving/lifecycle/version_policy.h"

#include <algorithm>

namespace tepal {

std::vector<int64_t> ChooseVersions(const VersionPolicy& policy,
                                    std::span<const int64_t> available) {
  std::vector<int64_t> versions(available.begin(), available.end());
  std::sort(versions.begin(), versions.end());
  versions.erase(std::unique(versions.begin(), versions.end()), versions.end());
  switch (policy.kind) {
    case VersionPolicy::Kind::kAll:
      break;
    case VersionPolicy::Kind::kLatest: {
      const size_t count = std::min<size_t>(policy.latest_count, versions.size());
      versions.erase(versions.begin(), versions.end() - static_cast<std::ptrdiff_t>(count));
      break;
    }
    case VersionPolicy::Kind::kSpecific:
      std::erase_if(versions, [&](int64_t version) {
        return std::find(policy.versions.begin(), policy.versions.end(), version) ==
               policy.versions.end();
      });
      break;
  }
  return versions;
}

}  // namespace tepal
