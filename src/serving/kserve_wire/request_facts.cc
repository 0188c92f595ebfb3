#include "serving/kserve_wire/request_facts.h"

#include <cstring>
#include <optional>

#include "core/json/value.h"
#include "serving/kserve_wire/proto_fields.h"

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

// InferParameter: a boolean (1), an int64 (2), a string (3) or a uint64 (5).
struct Parameter {
  uint64_t number = 0;
  std::string text;
};

Parameter ReadParameter(std::string_view bytes) {
  Parameter parameter;
  for (ProtoFields fields(bytes); fields.Next();) {
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

constexpr size_t kTimeoutBytesMax = 64 * 1024;

bool Mentions(std::string_view text, std::string_view word) {
  return memmem(text.data(), text.size(), word.data(), word.size()) != nullptr;
}

// A negative number, or one beyond what a clock can say, is none.
std::chrono::microseconds TimeoutOf(uint64_t us) {
  constexpr uint64_t kMax = uint64_t{1} << 50;
  return std::chrono::microseconds(us > kMax ? 0 : static_cast<int64_t>(us));
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
  for (ProtoFields fields(message); fields.Next();) {
    if (fields.number == 1) facts.model = fields.bytes;
    if (fields.number == 2) facts.versioned = !fields.bytes.empty();
    if (fields.number != 4) continue;
    std::string_view key, value;
    for (ProtoFields entry(fields.bytes); entry.Next();) {
      if (entry.number == 1) key = entry.bytes;
      if (entry.number == 2) value = entry.bytes;
    }
    if (key == "sequence_id") id = IdText(ReadParameter(value));
    if (key == "sequence_start") facts.sequence_start = ReadParameter(value).number != 0;
    if (key == "sequence_end") facts.sequence_end = ReadParameter(value).number != 0;
    if (key == "timeout") facts.timeout = TimeoutOf(ReadParameter(value).number);
  }
  if (!id.empty()) facts.sequence = NameSequence(facts.model, id);
  return facts;
}

RequestFacts ReadInferJson(std::string_view model, std::string_view json) {
  RequestFacts facts;
  facts.model = model;
  const bool may_say = Mentions(json, "\"sequence_id\"") ||
                       (json.size() <= kTimeoutBytesMax && Mentions(json, "\"timeout\""));
  if (!may_say) return facts;
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
  if (const json::Value* value = parameters->Find("timeout");
      value != nullptr && value->AsInt() != nullptr && *value->AsInt() > 0) {
    facts.timeout = TimeoutOf(static_cast<uint64_t>(*value->AsInt()));
  }
  const auto flag = [&](std::string_view name) {
    const json::Value* value = parameters->Find(name);
    return value != nullptr && value->AsBool() != nullptr && *value->AsBool();
  };
  facts.sequence_start = flag("sequence_start");
  facts.sequence_end = flag("sequence_end");
  return facts;
}

}  // namespace tepal
