#include "serving/frontend/grpc/grpc_settings_calls.h"

#include <climits>
#include <string>
#include <utility>
#include <variant>

#include "core/base/text.h"
#include "core/json/value.h"
#include "core/telemetry/log.h"
#include "serving/frontend/grpc/grpc_answer_message.h"
#include "serving/kserve/proto_reader.h"

namespace tepal {
namespace {

using kserve::ProtoReader;
using kserve::ProtoWriter;
using telemetry::LogFormat;
using telemetry::LogSettings;

// Walks over `settings`, a map in field 1: `take(name, value)` gets the bytes of each value.
template <typename Take, typename Other>
Status ReadSettings(std::string_view request, Take&& take, Other&& other) {
  ProtoReader reader(request);
  while (reader.Next()) {
    if (reader.field() != 1) {
      other(reader);
      continue;
    }
    std::string_view entry, name, value;
    if (!reader.Bytes(entry)) break;
    ProtoReader pair(entry);
    while (pair.Next()) {
      if (pair.field() == 1) {
        pair.Bytes(name);
      } else if (pair.field() == 2) {
        pair.Bytes(value);
      } else {
        pair.Skip();
      }
    }
    if (!pair.ok()) return UnparsableRequest();
    RETURN_IF_ERROR(take(name, value));
  }
  return reader.ok() ? Status() : UnparsableRequest();
}

// A trace setting as the JSON of the HTTP endpoint has it: nothing is null, which clears it.
Result<json::Value> TraceValue(std::string_view name, std::string_view bytes) {
  json::Value::Array values;
  std::string_view text;
  ProtoReader reader(bytes);
  while (reader.Next()) {
    if (reader.field() == 1) {
      if (reader.Bytes(text)) values.emplace_back(std::string(text));
    } else {
      reader.Skip();
    }
  }
  if (!reader.ok()) return UnparsableRequest();
  if (values.empty()) return json::Value();
  if (name == "trace_level") return json::Value(std::move(values));
  const bool known = name == "trace_rate" || name == "trace_count" || name == "log_frequency";
  if (known && values.size() > 1) {
    return InvalidArgument(Concat("expect only 1 value for '", name, "'"));
  }
  return std::move(values.front());
}

void WriteTraceSetting(ProtoWriter& out, std::string_view name, const json::Value& value) {
  AddMapEntry(out, 1, name, [&value](ProtoWriter& setting) {
    if (const std::string* text = value.AsString()) setting.Bytes(1, *text);
    if (value.AsArray() == nullptr) return;
    for (const json::Value& each : *value.AsArray()) {
      if (const std::string* text = each.AsString()) setting.Bytes(1, *text);
    }
  });
}

constexpr std::pair<std::string_view, LogFormat> kFormats[] = {
    {"default", LogFormat::kDefault}, {"ISO8601", LogFormat::kIso8601}, {"json", LogFormat::kJson}};

// What LogSettingsRequest.SettingValue can hold.
using LogValue = std::variant<std::monostate, bool, uint64_t, std::string_view>;

Result<LogValue> ReadLogValue(std::string_view bytes) {
  LogValue value;
  uint64_t number = 0;
  std::string_view text;
  ProtoReader reader(bytes);
  while (reader.Next()) {
    if (reader.field() == 1) {
      if (reader.Varint(number)) value = number != 0;
    } else if (reader.field() == 2) {
      if (reader.Varint(number)) value = number;
    } else if (reader.field() == 3) {
      if (reader.Bytes(text)) value = text;
    } else {
      reader.Skip();
    }
  }
  if (!reader.ok()) return UnparsableRequest();
  return value;
}

Status Expect(std::string_view what, std::string_view name) {
  return InvalidArgument(Concat("expect ", what, " for '", name, "'"));
}

Status TakeLogFormat(std::string_view name, const LogValue& value, LogFormat& format) {
  const auto* text = std::get_if<std::string_view>(&value);
  if (text == nullptr) return Expect("string", name);
  for (const auto& [known, meaning] : kFormats) {
    if (*text != known) continue;
    format = meaning;
    return {};
  }
  return InvalidArgument(Concat("invalid argument for log_format, got: ", *text));
}

Status TakeVerboseLevel(std::string_view name, const LogValue& value, int& level) {
  const auto* number = std::get_if<uint64_t>(&value);
  if (number == nullptr) return Expect("int32", name);
  if (*number > INT_MAX) {
    return InvalidArgument(
        Concat("invalid argument for log_verbose_level, expected at most ", INT_MAX));
  }
  level = static_cast<int>(*number);
  return {};
}

Status TakeLogSetting(std::string_view name, std::string_view bytes, LogSettings& settings) {
  if (name == "log_file") {
    return Unimplemented("log file location can not be updated through network protocol");
  }
  ASSIGN_OR_RETURN(const LogValue value, ReadLogValue(bytes));
  if (name == "log_format") return TakeLogFormat(name, value, settings.format);
  if (name == "log_verbose_level") return TakeVerboseLevel(name, value, settings.verbose_level);
  bool* const into = name == "log_info"      ? &settings.info
                     : name == "log_warning" ? &settings.warning
                     : name == "log_error"   ? &settings.error
                                             : nullptr;
  if (into == nullptr) return {};  // Triton passes over names it does not know.
  const bool* given = std::get_if<bool>(&value);
  if (given == nullptr) return Expect("boolean", name);
  *into = *given;
  return {};
}

Buffer LogSettingsAnswer(const LogSettings& settings) {
  return AnswerMessage([&settings](ProtoWriter& out) {
    const auto flag = [&out](std::string_view name, bool value) {
      AddMapEntry(out, 1, name, [value](ProtoWriter& setting) { setting.Bool(1, value); });
    };
    const auto text = [&out](std::string_view name, std::string_view value) {
      AddMapEntry(out, 1, name, [value](ProtoWriter& setting) { setting.Bytes(3, value); });
    };
    text("log_file", settings.file);
    flag("log_info", settings.info);
    flag("log_warning", settings.warning);
    flag("log_error", settings.error);
    AddMapEntry(out, 1, "log_verbose_level",
                [&settings](ProtoWriter& setting) { setting.Int(2, settings.verbose_level); });
    for (const auto& [name, format] : kFormats) {
      if (format == settings.format) text("log_format", name);
    }
  });
}

}  // namespace

Result<Buffer> TraceSetting(const GrpcCallContext& context, std::string_view request) {
  json::Value::Object changes;
  std::string_view model;
  RETURN_IF_ERROR(ReadSettings(
      request,
      [&changes](std::string_view name, std::string_view bytes) -> Status {
        ASSIGN_OR_RETURN(json::Value value, TraceValue(name, bytes));
        changes.emplace_back(std::string(name), std::move(value));
        return {};
      },
      [&model](ProtoReader& reader) {
        if (reader.field() == 2) {
          reader.Bytes(model);
        } else {
          reader.Skip();
        }
      }));
  if (!model.empty() && context.core.Served(model).empty()) {
    return InvalidArgument(Concat("Request for unknown model : ", model));
  }
  TraceSettings& settings = *context.options.trace;
  if (!changes.empty()) {
    RETURN_IF_ERROR(settings.Update(std::string(model), json::Value(std::move(changes)), "got: "));
  }
  ASSIGN_OR_RETURN(const json::Value now, json::Parse(settings.Json(std::string(model))));
  return AnswerMessage([&now](ProtoWriter& out) {
    for (const auto& [name, value] : *now.AsObject()) WriteTraceSetting(out, name, value);
  });
}

Result<Buffer> ChangeLogSettings(const GrpcCallContext&, std::string_view request) {
  LogSettings settings = telemetry::GetLogSettings();
  bool changes = false;
  RETURN_IF_ERROR(ReadSettings(
      request,
      [&](std::string_view name, std::string_view bytes) {
        changes = true;
        return TakeLogSetting(name, bytes, settings);
      },
      [](ProtoReader& reader) { reader.Skip(); }));
  if (changes) RETURN_IF_ERROR(telemetry::SetLogSettings(settings));
  return LogSettingsAnswer(settings);
}

}  // namespace tepal
