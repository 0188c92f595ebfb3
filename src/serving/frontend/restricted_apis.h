// Which groups of the API only those may use who send a secret in a header
// (--http-restricted-api).
//
// Immutable once set up; any thread. A shared secret and no more: no users, no expiry, and in the
// clear unless the connection is encrypted.

#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/status.h"

namespace tepal {

enum class ApiGroup {
  kHealth,
  kMetadata,
  kInference,
  kSharedMemory,
  kModelConfig,
  kModelRepository,
  kStatistics,
  kTrace,
  kLogging,
};

class RestrictedApis {
 public:
  struct Secret {
    std::string header, value;
    std::string field;  // The header in lower case, as requests are asked for it.
  };

  // "model-repository,trace:admin-key=secret". kInvalidArgument for another form, for a group that
  // does not exist and for one that has a secret already.
  Status Add(std::string_view text);

  // Null: the group is open.
  const Secret* Find(ApiGroup group) const;

  // Whether `given`, the header's value, is the secret. Takes as long for any wrong value of one
  // length, so that it cannot be guessed piece by piece.
  static bool Opens(const Secret& secret, std::optional<std::string_view> given);

 private:
  std::map<ApiGroup, Secret> secrets_;
};

}  // namespace tepal
