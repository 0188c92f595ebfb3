// The kinds of values that several flags of `tepal serve` take, each checked with words that say
// what was expected.

#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/function.h"
#include "core/base/text.h"
#include "core/base/time.h"
#include "core/options/flags.h"
#include "core/options/values.h"

namespace tepal::commands {

inline constexpr int kSecondsMax = 365 * 24 * 3600;
inline constexpr int kThreadsMax = 1024;

inline Status Expected(std::string_view what) { return InvalidArgument(Concat("expected ", what)); }

// A whole number in a range, handed to `set`.
inline options::FlagSet::Custom Whole(int64_t initial, int64_t min, int64_t max,
                                      Function<void(int64_t)> set) {
  return {.placeholder = "number",
          .default_text = Concat(initial),
          .boolean = false,
          .read = [min, max, set = std::move(set)](std::string_view text) mutable -> Status {
            const auto number = ParseNumber<int64_t>(text);
            if (!number || *number < min || *number > max) {
              return Expected(Concat("a whole number from ", min, " to ", max));
            }
            set(*number);
            return {};
          }};
}

inline options::FlagSet::Custom Seconds(Duration* value) {
  return Whole(static_cast<int64_t>(ToSeconds(*value)), 0, kSecondsMax,
               [value](int64_t seconds) { *value = std::chrono::seconds(seconds); });
}

inline options::FlagSet::Custom Threads(int* value) {
  return Whole(*value, 1, kThreadsMax,
               [value](int64_t count) { *value = static_cast<int>(count); });
}

// One of a few words; `values` in the order of `words`.
template <typename Value>
options::FlagSet::Custom OneOf(std::vector<std::pair<std::string_view, Value>> words,
                               Value* value) {
  std::string expected;
  std::string initial;
  for (const auto& [word, meaning] : words) {
    expected += Concat(expected.empty() ? "" : ", ", word);
    if (meaning == *value) initial = word;
  }
  return {.placeholder = "word",
          .default_text = initial,
          .boolean = false,
          .read = [=](std::string_view text) -> Status {
            for (const auto& [word, meaning] : words) {
              if (!EqualsIgnoreCase(word, text)) continue;
              *value = meaning;
              return {};
            }
            return Expected(Concat("one of ", expected));
          }};
}

// Checked, then forgotten: the setting has no effect here in either position.
inline options::FlagSet::Custom Indifferent(bool initial) {
  return {.placeholder = "boolean",
          .default_text = initial ? "true" : "false",
          .boolean = true,
          .read = [](std::string_view text) -> Status {
            return options::ParseBool(text) ? Status() : Expected(options::kBoolExpected);
          }};
}

}  // namespace tepal::commands
