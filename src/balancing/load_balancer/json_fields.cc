#include "balancing/load_balancer/json_fields.h"

#include <algorithm>

#include "core/base/check.h"
#include "core/json/value.h"
#include "core/json/writer.h"

namespace tepal::lb {

namespace {

void WriteValue(json::Writer& out, const json::Value& value);

void WriteMembers(json::Writer& out, const json::Value::Object& members) {
  for (const auto& [name, member] : members) {
    out.Key(name);
    WriteValue(out, member);
  }
}

void WriteValue(json::Writer& out, const json::Value& value) {
  if (const auto* object = value.AsObject()) {
    out.BeginObject();
    WriteMembers(out, *object);
    out.EndObject();
  } else if (const auto* array = value.AsArray()) {
    out.BeginArray();
    for (const json::Value& element : *array) WriteValue(out, element);
    out.EndArray();
  } else if (value.AsString() != nullptr) {
    out.String(*value.AsString());
  } else if (value.AsBool() != nullptr) {
    out.Bool(*value.AsBool());
  } else if (value.AsInt() != nullptr) {
    out.Int(*value.AsInt());
  } else if (value.AsUint() != nullptr) {
    out.Uint(*value.AsUint());
  } else if (value.AsNumber().has_value()) {
    out.Double(*value.AsNumber());
  } else {
    out.Null();
  }
}

void WriteKept(json::Writer& out, const json::Value::Object& members,
               const std::vector<std::string_view>& fields) {
  out.BeginObject();
  for (const auto& [name, member] : members) {
    if (std::find(fields.begin(), fields.end(), name) == fields.end()) continue;
    out.Key(name);
    WriteValue(out, member);
  }
  out.EndObject();
}

}  // namespace

std::string KeepFields(std::string_view text, const std::vector<std::string_view>& fields,
                       bool below) {
  const Result<json::Value> value = json::Parse(text);
  TEPAL_CHECK(value.ok() && value->AsObject() != nullptr);
  json::Writer out;
  if (!below) {
    WriteKept(out, *value->AsObject(), fields);
    return out.Take();
  }
  out.BeginObject();
  for (const auto& [name, member] : *value->AsObject()) {
    out.Key(name);
    if (member.AsObject() != nullptr) {
      WriteKept(out, *member.AsObject(), fields);
    } else {
      WriteValue(out, member);
    }
  }
  out.EndObject();
  return out.Take();
}

}  // namespace tepal::lb
