// Reads the Prometheus text exposition format 0.0.4.

#include <cmath>
#include <limits>

#include "core/base/text.h"
#include "core/telemetry/metrics.h"

namespace tepal::telemetry {
namespace {

bool IsNameChar(char c, bool first) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':' ||
         (!first && c >= '0' && c <= '9');
}

std::string_view TakeName(std::string_view& rest) {
  size_t size = 0;
  while (size < rest.size() && IsNameChar(rest[size], size == 0)) ++size;
  const std::string_view name = rest.substr(0, size);
  rest.remove_prefix(size);
  return name;
}

void SkipSpaces(std::string_view& rest) {
  while (!rest.empty() && (rest.front() == ' ' || rest.front() == '\t')) rest.remove_prefix(1);
}

bool Take(std::string_view& rest, char expected) {
  if (rest.empty() || rest.front() != expected) return false;
  rest.remove_prefix(1);
  return true;
}

// After the opening quote; consumes the closing one.
bool TakeLabelValue(std::string_view& rest, std::string& value) {
  while (!rest.empty()) {
    char c = rest.front();
    rest.remove_prefix(1);
    if (c == '"') return true;
    if (c == '\\') {
      if (rest.empty()) return false;
      c = rest.front() == 'n' ? '\n' : rest.front();
      rest.remove_prefix(1);
    }
    value.push_back(c);
  }
  return false;
}

bool TakeLabels(std::string_view& rest, Labels& labels) {
  if (!Take(rest, '{')) return true;
  for (SkipSpaces(rest); !Take(rest, '}'); SkipSpaces(rest)) {
    const std::string_view name = TakeName(rest);
    SkipSpaces(rest);
    if (name.empty() || !Take(rest, '=')) return false;
    SkipSpaces(rest);
    std::string value;
    if (!Take(rest, '"') || !TakeLabelValue(rest, value)) return false;
    labels.emplace_back(std::string(name), std::move(value));
    SkipSpaces(rest);
    if (!Take(rest, ',') && (rest.empty() || rest.front() != '}')) return false;
  }
  return true;
}

std::optional<double> ReadValue(std::string_view text) {
  if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
  if (text == "+Inf" || text == "Inf") return std::numeric_limits<double>::infinity();
  if (text == "-Inf") return -std::numeric_limits<double>::infinity();
  return ParseNumber<double>(text);
}

bool ParseSample(std::string_view line, MetricSample& sample) {
  const std::string_view name = TakeName(line);
  if (name.empty()) return false;
  sample.name = name;
  SkipSpaces(line);
  if (!TakeLabels(line, sample.labels)) return false;
  SkipSpaces(line);
  const size_t end = line.find_first_of(" \t");  // What follows is a timestamp.
  const std::optional<double> value = ReadValue(line.substr(0, end));
  if (!value) return false;
  sample.value = *value;
  return true;
}

}  // namespace

Result<std::vector<MetricSample>> ParsePrometheusText(std::string_view text) {
  std::vector<MetricSample> samples;
  size_t number = 0;
  while (!text.empty()) {
    ++number;
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    line = Trim(line);
    if (line.empty() || line.front() == '#') continue;
    MetricSample sample;
    if (!ParseSample(line, sample)) {
      return InvalidArgument(Concat("metrics page, line ", number, ": not a sample: '",
                                    line.substr(0, 80),
                                    "'; expected NAME{LABEL=\"VALUE\",…} NUMBER"));
    }
    samples.push_back(std::move(sample));
  }
  return samples;
}

}  // namespace tepal::telemetry
