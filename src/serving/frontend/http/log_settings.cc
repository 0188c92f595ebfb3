#include "serving/frontend/http/log_settings.h"

#include <climits>
#include <utility>

#include "core/base/text.h"
#include "core/json/writer.h"
#include "core/telemetry/log.h"
#include "serving/frontend/http/body_json.h"

namespace tepal {
namespace {

using telemetry::LogFormat;
using telemetry::LogSettings;

constexpr std::pair<std::string_view, LogFormat> kFormats[] = {
    {"default", LogFormat::kDefault}, {"ISO8601", LogFormat::kIso8601}, {"json", LogFormat::kJson}};

Status ReadSwitch(const json::Value& body, std::string_view name, bool& value) {
  const json::Value* given = body.Find(name);
  if (given == nullptr) return {};
  if (given->AsBool() == nullptr) {
    return InvalidArgument("attempt to access JSON non-boolean as boolean");
  }
  value = *given->AsBool();
  return {};
}

Status ReadVerboseLevel(const json::Value& body, int& level) {
  const json::Value* given = body.Find("log_verbose_level");
  if (given == nullptr) return {};
  const int64_t* number = given->AsInt();
  if (given->AsUint() == nullptr && (number == nullptr || *number < 0)) {
    return InvalidArgument("attempt to access JSON non-unsigned-integer as unsigned-integer");
  }
  if (number == nullptr || *number > INT_MAX) {
    return InvalidArgument(
        Concat("invalid argument for --log_verbose_level, expected at most ", INT_MAX));
  }
  level = static_cast<int>(*number);
  return {};
}

Status ReadFormat(const json::Value& body, LogFormat& format) {
  const json::Value* given = body.Find("log_format");
  if (given == nullptr) return {};
  if (given->AsString() == nullptr) {
    return InvalidArgument("attempt to access JSON non-string as string");
  }
  for (const auto& [name, meaning] : kFormats) {
    if (*given->AsString() != name) continue;
    format = meaning;
    return {};
  }
  return InvalidArgument(Concat("invalid argument for --log_format, got: ", *given->AsString()));
}

}  // namespace

std::string LogSettingsJson() {
  const LogSettings settings = telemetry::GetLogSettings();
  std::string_view format;
  for (const auto& [name, meaning] : kFormats) {
    if (meaning == settings.format) format = name;
  }
  json::Writer writer;
  writer.BeginObject().Key("log_file").String(settings.file);
  writer.Key("log_info").Bool(settings.info).Key("log_warning").Bool(settings.warning);
  writer.Key("log_error").Bool(settings.error);
  writer.Key("log_verbose_level").Int(settings.verbose_level);
  writer.Key("log_format").String(format).EndObject();
  return writer.Take();
}

Status UpdateLogSettings(std::string_view body) {
  ASSIGN_OR_RETURN(const json::Value parsed, ParseBodyJson(body));
  if (parsed.Find("log_file") != nullptr) {
    return Unimplemented("log file location can not be updated through network protocol");
  }
  LogSettings settings = telemetry::GetLogSettings();
  RETURN_IF_ERROR(ReadSwitch(parsed, "log_info", settings.info));
  RETURN_IF_ERROR(ReadSwitch(parsed, "log_warning", settings.warning));
  RETURN_IF_ERROR(ReadSwitch(parsed, "log_error", settings.error));
  RETURN_IF_ERROR(ReadVerboseLevel(parsed, settings.verbose_level));
  RETURN_IF_ERROR(ReadFormat(parsed, settings.format));
  return telemetry::SetLogSettings(settings);
}

}  // namespace tepal
