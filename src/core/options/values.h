// Texts a person writes in a flag or a file, as values: booleans, durations, byte counts; and which
// known name was probably meant.
//
// Pure functions. Each answers nothing for a text it does not understand; the caller names the
// field and says what was expected, in the words given here.

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/base/time.h"

namespace tepal::options {

inline constexpr std::string_view kBoolExpected = "true or false";
inline constexpr std::string_view kDurationExpected =
    "a duration with its unit, as 250ms, 30s or 5m";
inline constexpr std::string_view kBytesExpected = "a byte count, as 1048576, 64KiB, 64MiB or 2GiB";

// tritonserver's words in any case: true, 1, on and false, 0, off; also yes and no.
std::optional<bool> ParseBool(std::string_view text);

// Numbers, each with ns, us, ms, s, m or h: "1.5s", "1h30m". Not negative. Without a unit only "0".
std::optional<Duration> ParseDuration(std::string_view text);
std::string DurationText(Duration duration);

// A whole number and nothing, B, KB, MB, GB (thousands) or KiB, MiB, GiB (1024).
std::optional<uint64_t> ParseBytes(std::string_view text);

// The candidate that differs from `name` by the fewest edits, when that is few enough to be a
// typing mistake: at most a third of its letters, and never more than three.
std::optional<std::string_view> NearestName(std::string_view name,
                                            std::span<const std::string_view> candidates);

}  // namespace tepal::options
