// Fields of kinds that YamlReader has no words for.

#pragma once

#include <limits>
#include <string>
#include <string_view>

#include "core/base/text.h"
#include "core/env/network.h"
#include "core/options/values.h"
#include "core/options/yaml.h"

namespace tepal::gateway {

inline constexpr Duration kTimeMax = 24 * 3600s;

// Names are for endpoints; an address to listen at is one.
inline bool IsNumeric(const env::Address& address) {
  using Family = env::Address::Family;
  if (address.family == Family::kUnix) return true;
  const std::string_view letters =
      address.family == Family::kIp4 ? "0123456789." : "0123456789abcdefABCDEF:.";
  return address.host.find_first_not_of(letters) == std::string::npos;
}

inline void ReadAddress(options::YamlReader& section, std::string_view key, env::Address* out) {
  std::string text;
  section.Text(key, &text);
  if (text.empty()) return;
  const Result<env::Address> address = env::Address::Parse(text);
  if (address.ok() && IsNumeric(*address)) {
    *out = *address;
  } else {
    section.Fail(key, Concat("'", text, "'"),
                 "HOST:PORT with a numeric host, as 127.0.0.1:8000, [IPv6]:PORT or unix:/path");
  }
}

// Above zero and at most a day.
inline void ReadTime(options::YamlReader& section, std::string_view key, Duration* out) {
  Duration value = *out;
  section.Time(key, &value);
  if (value > Duration::zero() && value <= kTimeMax) {
    *out = value;
  } else {
    section.Fail(key, Concat("'", options::DurationText(value), "'"),
                 Concat("more than 0s and at most ", options::DurationText(kTimeMax)));
  }
}

inline void ReadBytes(options::YamlReader& section, std::string_view key, uint64_t* out,
                      uint64_t min, uint64_t max) {
  uint64_t value = *out;
  section.Bytes(key, &value);
  if (value >= min && value <= max) {
    *out = value;
  } else {
    section.Fail(key, Concat("'", value, "'"), Concat("from ", min, " to ", max, " bytes"));
  }
}

}  // namespace tepal::gateway
