#include "core/options/values.h"

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "core/base/text.h"

namespace tepal::options {
namespace {

struct Unit {
  std::string_view name;
  uint64_t size;
};

constexpr std::array<Unit, 6> kTimeUnits = {{{"ns", 1},
                                             {"us", 1000},
                                             {"ms", 1000000},
                                             {"s", 1000000000},
                                             {"m", 60ull * 1000000000},
                                             {"h", 3600ull * 1000000000}}};

constexpr std::array<Unit, 8> kByteUnits = {{{"", 1},
                                             {"B", 1},
                                             {"KB", 1000},
                                             {"MB", 1000000},
                                             {"GB", 1000000000},
                                             {"KiB", 1ull << 10},
                                             {"MiB", 1ull << 20},
                                             {"GiB", 1ull << 30}}};

constexpr size_t kEditsMax = 3;

// Where the number ends and the unit begins.
size_t UnitBegin(std::string_view text) {
  return std::min(text.find_first_not_of("0123456789."), text.size());
}

const Unit* FindUnit(std::span<const Unit> units, std::string_view name) {
  const auto found =
      std::find_if(units.begin(), units.end(), [&](const Unit& unit) { return unit.name == name; });
  return found == units.end() ? nullptr : &*found;
}

// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> edits(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) edits[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) edits[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = edits[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      edits[i][j] = std::min({replaced, edits[i - 1][j] + 1, edits[i][j - 1] + 1});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        edits[i][j] = std::min(edits[i][j], edits[i - 2][j - 2] + 1);
      }
    }
  }
  return edits[a.size()][b.size()];
}

}  // namespace

std::optional<bool> ParseBool(std::string_view text) {
  for (const std::string_view word : {"true", "1", "on", "yes"}) {
    if (EqualsIgnoreCase(text, word)) return true;
  }
  for (const std::string_view word : {"false", "0", "off", "no"}) {
    if (EqualsIgnoreCase(text, word)) return false;
  }
  return std::nullopt;
}

std::optional<Duration> ParseDuration(std::string_view text) {
  if (text == "0") return Duration::zero();
  double nanoseconds = 0;
  do {
    const size_t unit_begin = UnitBegin(text);
    const size_t end = std::min(text.find_first_of("0123456789.", unit_begin), text.size());
    const Unit* unit = FindUnit(kTimeUnits, text.substr(unit_begin, end - unit_begin));
    const auto number = ParseNumber<double>(text.substr(0, unit_begin));
    if (unit == nullptr || !number) return std::nullopt;
    nanoseconds += *number * static_cast<double>(unit->size);
    text.remove_prefix(end);
  } while (!text.empty());
  if (nanoseconds >= static_cast<double>(std::numeric_limits<int64_t>::max())) return std::nullopt;
  return Duration(static_cast<int64_t>(nanoseconds + 0.5));
}

std::string DurationText(Duration duration) {
  const auto nanoseconds = static_cast<uint64_t>(duration.count());
  for (auto unit = kTimeUnits.rbegin(); unit != kTimeUnits.rend(); ++unit) {
    if (nanoseconds != 0 && nanoseconds % unit->size == 0) {
      return Concat(nanoseconds / unit->size, unit->name);
    }
  }
  return "0s";
}

std::optional<uint64_t> ParseBytes(std::string_view text) {
  const size_t unit_begin = UnitBegin(text);
  const Unit* unit = FindUnit(kByteUnits, text.substr(unit_begin));
  const auto number = ParseNumber<uint64_t>(text.substr(0, unit_begin));
  if (unit == nullptr || !number) return std::nullopt;
  uint64_t bytes = 0;
  if (__builtin_mul_overflow(*number, unit->size, &bytes)) return std::nullopt;
  return bytes;
}

std::optional<std::string_view> NearestName(std::string_view name,
                                            std::span<const std::string_view> candidates) {
  std::optional<std::string_view> nearest;
  size_t fewest = kEditsMax + 1;
  for (const std::string_view candidate : candidates) {
    const size_t edits = EditDistance(name, candidate);
    if (edits >= fewest || edits * 3 > candidate.size()) continue;
    fewest = edits;
    nearest = candidate;
  }
  return nearest;
}

}  // namespace tepal::options
