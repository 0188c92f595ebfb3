// Texts as nginx.conf writes them: times, sizes, "name=value".

#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/base/time.h"

namespace tepal::nginx_conf {

// "10" (seconds), "500ms", "5s", "1m30s", "2h", "1d"; at most a year.
std::optional<Duration> ParseTime(std::string_view text);

// "4096", "64k", "2m", "1g".
std::optional<uint64_t> ParseSize(std::string_view text);

struct Parameter {
  std::string_view name;
  std::optional<std::string_view> value;  // Absent without '='.
};
Parameter SplitParameter(std::string_view word);

}  // namespace tepal::nginx_conf
