#include "serving/frontend/model_version_text.h"

#include "core/base/text.h"

namespace tepal {

Result<int64_t> ParseModelVersion(std::string_view text) {
  if (text.empty()) return -1;
  const std::optional<int64_t> version = ParseNumber<int64_t>(text);
  if (version.has_value()) return *version;
  return InvalidArgument(Concat("failed to get model version from specified version string '", text,
                                "' (details: stol), version should be an integral value > 0"));
}

}  // namespace tepal
