#include "serving/frontend/trace_settings.h"

#include <limits>
#include <string_view>

#include "core/base/text.h"
#include "core/json/writer.h"

namespace tepal {
namespace {

constexpr int64_t kRateDefault = 1000;
constexpr int64_t kCountDefault = -1;  // Without end.
constexpr int64_t kLogFrequencyDefault = 0;
constexpr int64_t kUnsignedMax = std::numeric_limits<uint32_t>::max();
constexpr int64_t kCountMax = std::numeric_limits<int32_t>::max();

Status NotText() { return InvalidArgument("attempt to access JSON non-string as string"); }

Status ReadNumber(const json::Value& body, std::string_view name, int64_t min, int64_t max,
                  std::string_view got, std::optional<int64_t>& number) {
  const json::Value* given = body.Find(name);
  if (given == nullptr) return {};
  if (given->is_null()) {
    number.reset();
    return {};
  }
  const std::string* text = given->AsString();
  if (text == nullptr) return NotText();
  const std::optional<int64_t> value = ParseNumber<int64_t>(*text);
  if (!value.has_value()) {
    return InvalidArgument(Concat("Unable to parse '", name, "', got: ", *text));
  }
  if (*value < min && min == kCountDefault) {
    return InvalidArgument(
        Concat("Unable to parse '", name, "'. Expecting value >= ", min, ", ", got, *text));
  }
  if (*value < min || *value > max) {
    return InvalidArgument(Concat("Unable to parse '", name, "', value is out of range [ ", min,
                                  ", ", max, " ], got: ", *text));
  }
  number = value;
  return {};
}

Status CheckLevels(const json::Value& body) {
  const json::Value* given = body.Find("trace_level");
  if (given == nullptr || given->is_null()) return {};
  const json::Value::Array* levels = given->AsArray();
  if (levels == nullptr) return InvalidArgument("attempt to access JSON non-array as array");
  bool off = false, on = false;
  for (const json::Value& level : *levels) {
    const std::string* text = level.AsString();
    if (text == nullptr) return NotText();
    if (*text == "OFF") off = true;
    if (*text == "TIMESTAMPS" || *text == "TENSORS") on = true;  // Others mean nothing.
  }
  if (!on) return {};
  if (off) return InvalidArgument("Expect only one trace level 'OFF' is specified");
  // The flags that could name one are refused.
  return InvalidArgument("Attempting to set invalid trace setting :trace file name is not given");
}

}  // namespace

Status TraceSettings::ReadAll(const json::Value& body, std::string_view got, Values& values) {
  if (body.Find("trace_file") != nullptr) {
    return Unimplemented("trace file location can not be updated through network protocol");
  }
  RETURN_IF_ERROR(CheckLevels(body));
  RETURN_IF_ERROR(ReadNumber(body, "trace_rate", 0, kUnsignedMax, got, values.rate));
  RETURN_IF_ERROR(ReadNumber(body, "trace_count", kCountDefault, kCountMax, got, values.count));
  return ReadNumber(body, "log_frequency", 0, kUnsignedMax, got, values.log_frequency);
}

Status TraceSettings::Update(const std::string& model, const json::Value& body,
                             std::string_view got) {
  auto values = values_.Lock();
  const auto found = values->find(model);
  Values changed = found == values->end() ? Values() : found->second;
  RETURN_IF_ERROR(ReadAll(body, got, changed));
  (*values)[model] = changed;
  return {};
}

std::string TraceSettings::Json(const std::string& model) {
  Values own, server;
  {
    auto values = values_.Lock();
    if (const auto found = values->find(model); found != values->end()) own = found->second;
    if (const auto found = values->find(""); found != values->end()) server = found->second;
  }
  const auto number = [&own, &server](std::optional<int64_t> Values::*member, int64_t otherwise) {
    return Concat((own.*member).value_or((server.*member).value_or(otherwise)));
  };
  json::Writer writer;
  writer.BeginObject().Key("trace_level").BeginArray().String("OFF").EndArray();
  writer.Key("trace_rate").String(number(&Values::rate, kRateDefault));
  writer.Key("trace_count").String(number(&Values::count, kCountDefault));
  writer.Key("log_frequency").String(number(&Values::log_frequency, kLogFrequencyDefault));
  writer.Key("trace_file").String("").Key("trace_mode").String("triton").EndObject();
  return writer.Take();
}

}  // namespace tepal
