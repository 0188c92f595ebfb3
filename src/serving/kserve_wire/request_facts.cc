#include "serving/kserve_wire/request_facts.h"

#include <cstring>
#include <optional>

#include "core/json/value.h"

namespace tepal {

namespace {

// FNV-1a; 0 means none.
uint64_t NameSequence(std::string_view model, std::string_view id) {
  uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&hash](std::string_view text) {
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  };
  add(model);
  add("\n");
  add(id);
  return hash == 0 ? 1 : hash;
}

// The fields of a protobuf message, one after the other.
class Fields {
 public:
  explicit Fields(std::string_view message) : rest_(message) {}

  // False at the end, and where the bytes are cut off or make no sense.
  bool Next() {
    const auto key = Varint();
    if (!key.has_value()) return false;
    number = *key >> 3;
    value = 0;
    bytes = {};
    switch (*key & 7) {
      case 0:
        if (const auto read = Varint()) return value = *read, true;
        return false;
      case 1:
        return Take(8);
      case 2: {
        const auto size = Varint();
        return size.has_value() && Take(*size);
      }
      case 5:
        return Take(4);
      default:
        return false;
    }
  }

  uint64_t number = 0;
  uint64_t value = 0;
  std::string_view bytes;

 private:
  std::optional<uint64_t> Varint() {
    uint64_t read = 0;
    for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      read |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return read;
    }
    return std::nullopt;
  }
  bool Take(uint64_t size) {
    if (size > rest_.size()) return false;
    bytes = rest_.substr(0, static_cast<size_t>(size));
    rest_.remove_prefix(static_cast<size_t>(size));
    return true;
  }

  std::string_view rest_;
};

// InferParameter: a boolean (1), an int64 (2), a string (3) or a uint64 (5).
struct Parameter {
  uint64_t number = 0;
  std::string text;
};

Parameter ReadParameter(std::string_view bytes) {
  Parameter parameter;
  for (Fields fields(bytes); fields.Next();) {
    if (fields.number == 3) {
      parameter.text = fields.bytes;
    } else {
      parameter.number = fields.value;
    }
  }
  return parameter;
}

// Sequence ids are numbers or texts; 0 and "" are none.
std::string IdText(const Parameter& parameter) {
  if (!parameter.text.empty()) return parameter.text;
  return parameter.number == 0 ? std::string() : std::to_string(parameter.number);
}

}  // namespace

std::string_view ModelOfPath(std::string_view path) {
  constexpr std::string_view kPrefix = "/v2/models/";
  if (!path.starts_with(kPrefix)) return {};
  path.remove_prefix(kPrefix.size());
  return path.substr(0, path.find('/'));
}

RequestFacts ReadGrpcInferRequest(std::string_view message) {
  RequestFacts facts;
  std::string id;
  for (Fields fields(message); fields.Next();) {
    if (fields.number == 1) facts.model = fields.bytes;
    if (fields.number != 4) continue;
    std::string_view key, value;
    for (Fields entry(fields.bytes); entry.Next();) {
      if (entry.number == 1) key = entry.bytes;
      if (entry.number == 2) value = entry.bytes;
    }
    if (key == "sequence_id") id = IdText(ReadParameter(value));
    if (key == "sequence_start") facts.sequence_start = ReadParameter(value).number != 0;
    if (key == "sequence_end") facts.sequence_end = ReadParameter(value).number != 0;
  }
  if (!id.empty()) facts.sequence = NameSequence(facts.model, id);
  return facts;
}

RequestFacts ReadInferJson(std::string_view model, std::string_view json) {
  RequestFacts facts;
  facts.model = model;
  constexpr std::string_view kKey = "\"sequence_id\"";
  if (memmem(json.data(), json.size(), kKey.data(), kKey.size()) == nullptr) return facts;
  const Result<json::Value> body = json::Parse(json);
  if (!body.ok()) return facts;
  const json::Value* const parameters = body->Find("parameters");
  if (parameters == nullptr) return facts;
  std::string id;
  if (const json::Value* value = parameters->Find("sequence_id")) {
    if (const std::string* text = value->AsString()) id = *text;
    if (const int64_t* number = value->AsInt(); number != nullptr && *number != 0) {
      id = std::to_string(*number);
    }
  }
  if (!id.empty()) facts.sequence = NameSequence(model, id);
  const auto flag = [&](std::string_view name) {
    const json::Value* value = parameters->Find(name);
    return value != nullptr && value->AsBool() != nullptr && *value->AsBool();
  };
  facts.sequence_start = flag("sequence_start");
  facts.sequence_end = flag("sequence_end");
  return facts;
}

}  // namespace tepal
