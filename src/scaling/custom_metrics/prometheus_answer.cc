#include "scaling/custom_metrics/prometheus_answer.h"

#include <cmath>
#include <limits>

#include "core/base/text.h"
#include "core/json/value.h"
#include "network/kube/api.h"

namespace tepal::custom_metrics {
namespace {

constexpr int kDepthMax = 16;
constexpr double kSecondsMax = 1e11;  // Some three thousand years.

Status Garbage(std::string_view what) { return Unavailable(Concat("Prometheus' answer: ", what)); }

// The whole answer; it has `data`.
Result<json::Value> ReadRoot(std::string_view body) {
  Result<json::Value> root = json::Parse(body, kDepthMax);
  if (!root.ok()) {
    return Garbage(Concat("got no JSON (", root.status().message(), "): ", body.substr(0, 80)));
  }
  const std::string_view status = kube::TextAt(*root, "status");
  if (status == "error") {
    return InvalidArgument(Concat("Prometheus refused it: ", kube::TextAt(*root, "errorType"), ": ",
                                  kube::TextAt(*root, "error")));
  }
  if (status != "success") return Garbage("got no status, expected success or error");
  if (root->Find("data") == nullptr) return Garbage("got no data");
  return root;
}

bool ReadLabels(const json::Value& from, std::map<std::string, std::string>& labels) {
  if (from.AsObject() == nullptr) return false;
  for (const auto& [name, value] : *from.AsObject()) {
    if (value.AsString() == nullptr) return false;
    labels[name] = *value.AsString();
  }
  return true;
}

std::optional<double> ReadNumber(const std::string& text) {
  if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
  if (text == "+Inf" || text == "Inf") return std::numeric_limits<double>::infinity();
  if (text == "-Inf") return -std::numeric_limits<double>::infinity();
  return ParseNumber<double>(text);
}

// [ 1435781430.781, "1" ]
bool ReadPoint(const json::Value& from, QuerySample& sample) {
  const json::Value::Array* pair = from.AsArray();
  if (pair == nullptr || pair->size() != 2) return false;
  const std::optional<double> seconds = (*pair)[0].AsNumber();
  const std::string* text = (*pair)[1].AsString();
  if (!seconds || !(std::abs(*seconds) < kSecondsMax) || text == nullptr) return false;
  const std::optional<double> value = ReadNumber(*text);
  if (!value) return false;
  // Milliseconds are what Prometheus has; more would only be the noise of a double.
  sample.time = WallTime(std::chrono::milliseconds(std::llround(*seconds * 1000)));
  sample.value = *value;
  return true;
}

Duration UnitOf(std::string_view unit) {
  using std::chrono::hours;
  if (unit == "ms") return 1ms;
  if (unit == "s") return 1s;
  if (unit == "m") return 60s;
  if (unit == "h") return hours(1);
  if (unit == "d") return hours(24);
  if (unit == "w") return hours(24 * 7);
  if (unit == "y") return hours(24 * 365);
  return {};
}

// "1h30m", "30s".
std::optional<Duration> ReadRange(std::string_view text) {
  Duration sum{};
  if (text.empty()) return std::nullopt;
  while (!text.empty()) {
    size_t digits = 0;
    while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
    size_t letters = digits;
    while (letters < text.size() && text[letters] >= 'a' && text[letters] <= 'z') ++letters;
    const auto number = ParseNumber<uint32_t>(text.substr(0, digits));
    const Duration unit = UnitOf(text.substr(digits, letters - digits));
    if (!number || unit == Duration{} || *number > 1'000'000) return std::nullopt;
    if (*number > 0 && unit > std::chrono::hours(24 * 365 * 100) / *number) return std::nullopt;
    sum += unit * *number;
    if (sum > std::chrono::hours(24 * 365 * 100)) return std::nullopt;
    text.remove_prefix(letters);
  }
  return sum;
}

}  // namespace

Result<std::vector<Series>> ReadSeriesAnswer(std::string_view body) {
  ASSIGN_OR_RETURN(const json::Value root, ReadRoot(body));
  const json::Value& data = *root.Find("data");
  if (data.AsArray() == nullptr) return Garbage("data: got no list of series");
  std::vector<Series> all;
  all.reserve(data.AsArray()->size());
  for (const json::Value& one : *data.AsArray()) {
    Series series;
    if (!ReadLabels(one, series.labels)) return Garbage("data: got no labels of a series");
    if (const auto name = series.labels.extract("__name__")) series.name = name.mapped();
    all.push_back(std::move(series));
  }
  return all;
}

Result<QueryAnswer> ReadQueryAnswer(std::string_view body) {
  ASSIGN_OR_RETURN(const json::Value root, ReadRoot(body));
  const json::Value& data = *root.Find("data");
  const std::string_view type = kube::TextAt(data, "resultType");
  const json::Value* result = data.Find("result");
  if (result == nullptr || result->AsArray() == nullptr) return Garbage("data: got no result");
  QueryAnswer answer;
  if (type == "scalar") {
    answer.scalar = true;
    if (!ReadPoint(*result, answer.samples.emplace_back())) return Garbage("got no scalar");
    return answer;
  }
  if (type != "vector") {
    return InvalidArgument(Concat("metricsQuery: got a result of type '", type.substr(0, 40),
                                  "', expected vector or scalar"));
  }
  answer.samples.reserve(result->AsArray()->size());
  for (const json::Value& one : *result->AsArray()) {
    const json::Value* metric = one.Find("metric");
    const json::Value* value = one.Find("value");
    if (value == nullptr && one.Find("histogram") != nullptr) continue;  // Has no one value.
    QuerySample& sample = answer.samples.emplace_back();
    if (metric == nullptr || value == nullptr || !ReadLabels(*metric, sample.labels) ||
        !ReadPoint(*value, sample)) {
      return Garbage("data.result: got no sample");
    }
  }
  return answer;
}

std::optional<Duration> WindowOfQuery(std::string_view query) {
  std::optional<Duration> longest;
  char quote = 0;
  for (size_t i = 0; i < query.size(); ++i) {
    const char c = query[i];
    if (quote != 0) {
      if (c == '\\' && quote != '`') ++i;
      if (c == quote) quote = 0;
    } else if (c == '"' || c == '\'' || c == '`') {
      quote = c;
    } else if (c == '#') {
      i = std::min(query.find('\n', i), query.size());
    } else if (c == '[') {
      const size_t end = query.find_first_of("]:", i);
      if (end == std::string_view::npos) break;
      const auto range = ReadRange(Trim(query.substr(i + 1, end - i - 1)));
      if (range && (!longest || *range > *longest)) longest = range;
    }
  }
  return longest;
}

}  // namespace tepal::custom_metrics
