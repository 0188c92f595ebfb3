// The two files that advice is made from.

#include <algorithm>
#include <array>
#include <cmath>

#include "core/base/text.h"
#include "core/options/yaml.h"
#include "partitioning/mig/advise.h"

namespace tepal::mig {
namespace {

constexpr std::array<std::string_view, 4> kColumns = {"model", "profile", "throughput_per_s",
                                                      "p99_ms"};
constexpr double kNumberMax = 1e9;

std::string_view WithoutReturn(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

Status Wrong(const std::string& file, size_t line, std::string_view column, std::string_view got,
             std::string_view expected) {
  return InvalidArgument(Concat(file, ":", line, ": column '", column, "': got '",
                                got.substr(0, 100), "', expected ", expected));
}

// Where each of kColumns is in the header line.
Result<std::array<size_t, kColumns.size()>> FindColumns(std::string_view header,
                                                        const std::string& file) {
  std::array<size_t, kColumns.size()> where{};
  const std::vector<std::string_view> names = Split(header, ',');
  for (size_t c = 0; c < kColumns.size(); ++c) {
    const auto found = std::find_if(names.begin(), names.end(), [&](std::string_view name) {
      return Trim(name) == kColumns[c];
    });
    if (found == names.end()) {
      return InvalidArgument(Concat(file, ":1: column '", kColumns[c], "' is missing: got '",
                                    header.substr(0, 200),
                                    "', expected a header line with model, profile, "
                                    "throughput_per_s and p99_ms"));
    }
    where[c] = static_cast<size_t>(found - names.begin());
  }
  return where;
}

}  // namespace

Result<std::vector<Measurement>> ParseMeasurements(std::string_view csv, const std::string& file) {
  const std::vector<std::string_view> lines = Split(csv, '\n');
  if (lines.size() > kMeasurementsMax) {
    return InvalidArgument(
        Concat(file, ": got ", lines.size(), " lines, expected at most ", kMeasurementsMax));
  }
  ASSIGN_OR_RETURN(const auto where, FindColumns(WithoutReturn(lines[0]), file));
  std::vector<Measurement> measured;
  for (size_t i = 1; i < lines.size(); ++i) {
    const std::string_view line = WithoutReturn(lines[i]);
    if (Trim(line).empty()) continue;
    const std::vector<std::string_view> cells = Split(line, ',');
    std::array<std::string_view, kColumns.size()> texts;
    for (size_t c = 0; c < kColumns.size(); ++c) {
      if (where[c] < cells.size()) texts[c] = Trim(cells[where[c]]);
      if (texts[c].empty()) return Wrong(file, i + 1, kColumns[c], "", "a value");
    }
    std::array<double, 2> numbers;
    for (size_t n = 0; n < numbers.size(); ++n) {
      const std::optional<double> number = ParseNumber<double>(texts[2 + n]);
      if (!number.has_value() || !(*number >= 0 && *number <= kNumberMax)) {
        return Wrong(file, i + 1, kColumns[2 + n], texts[2 + n], "a number from 0 to 1e9");
      }
      numbers[n] = *number;
    }
    measured.push_back({std::string(texts[0]), std::string(texts[1]), numbers[0], numbers[1]});
  }
  return measured;
}

Result<std::vector<Demand>> ParseDemands(std::string_view yaml, const std::string& file) {
  ASSIGN_OR_RETURN(const options::YamlNode tree, options::ParseYaml(yaml, file));
  options::YamlReader root(tree, file);
  root.Require("models", "a list of {model, traffic_per_s, p99_ms}");
  std::vector<Demand> demands;
  for (options::YamlReader& item : root.Sections("models")) {
    Demand demand;
    item.Require("model", "its name, as in the measurements");
    item.Text("model", &demand.model);
    item.Require("traffic_per_s", "requests a second, as 250");
    item.Number("traffic_per_s", &demand.traffic_per_s, 0, kNumberMax);
    item.Require("p99_ms", "the longest that 99 of 100 requests may take, as 50");
    item.Number("p99_ms", &demand.p99_ms, 0.001, kNumberMax);
    const auto same = [&](const Demand& other) { return other.model == demand.model; };
    if (std::any_of(demands.begin(), demands.end(), same)) {
      item.Fail("model", Concat("'", demand.model, "'"), "each model once");
    }
    demands.push_back(std::move(demand));
  }
  if (demands.size() > kDemandsMax) {
    root.Fail("models", Concat(demands.size(), " models"), Concat("at most ", kDemandsMax));
  }
  RETURN_IF_ERROR(root.Finish());
  return demands;
}

}  // namespace tepal::mig
