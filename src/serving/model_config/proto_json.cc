#include "serving/model_config/proto_json.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "core/base/check.h"
#include "core/base/text.h"

namespace tepal {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// Whole reals up to this are written without a decimal, as the protocol's servers do.
constexpr double kWholeMax = 1e15;

void WriteReal(double value, bool narrow, json::Writer& out) {
  if (!std::isfinite(value)) {
    out.String(std::isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
  } else if (std::trunc(value) == value && std::abs(value) < kWholeMax) {
    out.Int(static_cast<int64_t>(value));
  } else if (narrow) {
    out.Float(static_cast<float>(value));
  } else {
    out.Double(value);
  }
}

void WriteEnum(const google::protobuf::EnumDescriptor& type, int number, json::Writer& out) {
  const auto* value = type.FindValueByNumber(number);
  if (value != nullptr) {
    out.String(value->name());
  } else {
    out.Int(number);
  }
}

// One value: a singular field, or the element at `index` of a repeated one.
void WriteValue(const Message& message, const FieldDescriptor& field, int index,
                json::Writer& out) {
  const Reflection& reflection = *message.GetReflection();
  const bool repeated = field.is_repeated();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      out.Int(repeated ? reflection.GetRepeatedInt32(message, &field, index)
                       : reflection.GetInt32(message, &field));
      break;
    case FieldDescriptor::CPPTYPE_INT64:
      out.Int(repeated ? reflection.GetRepeatedInt64(message, &field, index)
                       : reflection.GetInt64(message, &field));
      break;
    case FieldDescriptor::CPPTYPE_UINT32:
      out.Uint(repeated ? reflection.GetRepeatedUInt32(message, &field, index)
                        : reflection.GetUInt32(message, &field));
      break;
    case FieldDescriptor::CPPTYPE_UINT64:
      out.Uint(repeated ? reflection.GetRepeatedUInt64(message, &field, index)
                        : reflection.GetUInt64(message, &field));
      break;
    case FieldDescriptor::CPPTYPE_DOUBLE:
      WriteReal(repeated ? reflection.GetRepeatedDouble(message, &field, index)
                         : reflection.GetDouble(message, &field),
                false, out);
      break;
    case FieldDescriptor::CPPTYPE_FLOAT:
      WriteReal(repeated ? reflection.GetRepeatedFloat(message, &field, index)
                         : reflection.GetFloat(message, &field),
                true, out);
      break;
    case FieldDescriptor::CPPTYPE_BOOL:
      out.Bool(repeated ? reflection.GetRepeatedBool(message, &field, index)
                        : reflection.GetBool(message, &field));
      break;
    case FieldDescriptor::CPPTYPE_ENUM:
      WriteEnum(*field.enum_type(),
                repeated ? reflection.GetRepeatedEnumValue(message, &field, index)
                         : reflection.GetEnumValue(message, &field),
                out);
      break;
    case FieldDescriptor::CPPTYPE_STRING:
      out.String(repeated ? reflection.GetRepeatedString(message, &field, index)
                          : reflection.GetString(message, &field));
      break;
    case FieldDescriptor::CPPTYPE_MESSAGE:
      WriteProtoJson(repeated ? reflection.GetRepeatedMessage(message, &field, index)
                              : reflection.GetMessage(message, &field),
                     out);
      break;
  }
}

// A map's key as JSON's member name. The protocol's maps have text and unsigned keys only.
std::string KeyText(const Message& entry, const FieldDescriptor& key) {
  const Reflection& reflection = *entry.GetReflection();
  if (key.cpp_type() == FieldDescriptor::CPPTYPE_STRING) return reflection.GetString(entry, &key);
  TEPAL_CHECK(key.cpp_type() == FieldDescriptor::CPPTYPE_UINT64);
  return Concat(reflection.GetUInt64(entry, &key));
}

void WriteMap(const Message& message, const FieldDescriptor& field, json::Writer& out) {
  const Reflection& reflection = *message.GetReflection();
  const FieldDescriptor& key = *field.message_type()->map_key();
  std::vector<std::pair<std::string, const Message*>> entries;
  for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
    const Message& entry = reflection.GetRepeatedMessage(message, &field, i);
    entries.emplace_back(KeyText(entry, key), &entry);
  }
  const bool numeric = key.cpp_type() != FieldDescriptor::CPPTYPE_STRING;
  std::sort(entries.begin(), entries.end(), [&](const auto& a, const auto& b) {
    if (numeric && a.first.size() != b.first.size()) return a.first.size() < b.first.size();
    return a.first < b.first;
  });
  out.BeginObject();
  for (const auto& [name, entry] : entries) {
    out.Key(name);
    WriteValue(*entry, *field.message_type()->map_value(), 0, out);
  }
  out.EndObject();
}

void WriteArray(const Message& message, const FieldDescriptor& field, json::Writer& out) {
  out.BeginArray();
  for (int i = 0; i < message.GetReflection()->FieldSize(message, &field); ++i) {
    WriteValue(message, field, i, out);
  }
  out.EndArray();
}

}  // namespace

void WriteProtoJson(const Message& message, json::Writer& out) {
  const auto& type = *message.GetDescriptor();
  out.BeginObject();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (field.has_presence() && !message.GetReflection()->HasField(message, &field)) continue;
    out.Key(field.name());
    if (field.is_map()) {
      WriteMap(message, field, out);
    } else if (field.is_repeated()) {
      WriteArray(message, field, out);
    } else {
      WriteValue(message, field, 0, out);
    }
  }
  out.EndObject();
}

}  // namespace tepal
