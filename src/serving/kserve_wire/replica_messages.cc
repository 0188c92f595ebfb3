#include "serving/kserve_wire/replica_messages.h"

#include <algorithm>
#include <map>
#include <utility>

#include "core/base/text.h"
#include "serving/kserve_wire/proto_fields.h"

namespace tepal {

namespace {

// What becomes of the field of several messages.
enum class Rule { kKeep, kSum, kMax, kKey, kMessage, kByKey, kAll };

struct Schema;
struct FieldRule {
  uint64_t number;
  Rule rule;
  const Schema* schema = nullptr;  // Of kMessage and kByKey.
};
struct Schema {
  const FieldRule* fields;
  size_t count;
  const FieldRule* Find(uint64_t number) const {
    for (size_t i = 0; i < count; ++i) {
      if (fields[i].number == number) return &fields[i];
    }
    return nullptr;
  }
};
template <size_t N>
constexpr Schema MakeSchema(const FieldRule (&fields)[N]) {
  return {fields, N};
}

// inference.proto. StatisticDuration: count, ns.
constexpr FieldRule kDurationFields[] = {{1, Rule::kSum}, {2, Rule::kSum}};
constexpr Schema kDuration = MakeSchema(kDurationFields);
// InferStatistics and InferResponseStatistics have nothing but durations.
constexpr FieldRule kDurationsFields[] = {
    {1, Rule::kMessage, &kDuration}, {2, Rule::kMessage, &kDuration},
    {3, Rule::kMessage, &kDuration}, {4, Rule::kMessage, &kDuration},
    {5, Rule::kMessage, &kDuration}, {6, Rule::kMessage, &kDuration},
    {7, Rule::kMessage, &kDuration}, {8, Rule::kMessage, &kDuration}};
constexpr Schema kDurations = MakeSchema(kDurationsFields);
constexpr FieldRule kBatchFields[] = {{1, Rule::kKey},
                                      {2, Rule::kMessage, &kDuration},
                                      {3, Rule::kMessage, &kDuration},
                                      {4, Rule::kMessage, &kDuration}};
constexpr Schema kBatch = MakeSchema(kBatchFields);
constexpr FieldRule kResponseFields[] = {{1, Rule::kKey}, {2, Rule::kMessage, &kDurations}};
constexpr Schema kResponse = MakeSchema(kResponseFields);
constexpr FieldRule kModelFields[] = {{1, Rule::kKey},
                                      {2, Rule::kKey},
                                      {3, Rule::kMax},
                                      {4, Rule::kSum},
                                      {5, Rule::kSum},
                                      {6, Rule::kMessage, &kDurations},
                                      {7, Rule::kByKey, &kBatch},
                                      {8, Rule::kAll},
                                      {9, Rule::kByKey, &kResponse}};
constexpr Schema kModel = MakeSchema(kModelFields);
constexpr FieldRule kStatisticsFields[] = {{1, Rule::kByKey, &kModel}};
constexpr Schema kStatistics = MakeSchema(kStatisticsFields);

// What tells the elements of a repeated field apart.
std::string KeyOf(std::string_view message, const Schema& schema) {
  std::map<uint64_t, std::string> keys;
  for (ProtoFields fields(message); fields.Next();) {
    const FieldRule* rule = schema.Find(fields.number);
    if (rule == nullptr || rule->rule != Rule::kKey) continue;
    keys[fields.number] = fields.kind == ProtoFields::Kind::kVarint ? std::to_string(fields.value)
                                                                    : std::string(fields.bytes);
  }
  std::string key;
  for (const auto& [number, text] : keys) key += Concat(number, ":", text.size(), ":", text, ";");
  return key;
}

std::string Merge(const std::vector<std::string_view>& messages, const Schema& schema);

// One field of all the messages.
class Merged {
 public:
  void Add(const ProtoFields& field, const FieldRule& rule, bool first) {
    rule_ = &rule;
    if (rule.rule == Rule::kSum) {
      number_ = number_ + field.value < number_ ? UINT64_MAX : number_ + field.value;
    } else if (rule.rule == Rule::kMax) {
      number_ = std::max(number_, field.value);
    } else if (rule.rule == Rule::kByKey) {
      elements_[KeyOf(field.bytes, *rule.schema)].push_back(field.bytes);
    } else if (rule.rule == Rule::kMessage) {
      elements_[""].push_back(field.bytes);
    } else if (rule.rule == Rule::kAll || first) {
      if (field.kind == ProtoFields::Kind::kVarint) {
        AppendVarintField(raw_, field.number, field.value);
      } else if (field.kind == ProtoFields::Kind::kBytes) {
        AppendBytesField(raw_, field.number, field.bytes);
      }
    }
  }

  void Write(std::string& out) const {
    if (number_ > 0) AppendVarintField(out, rule_->number, number_);
    for (const auto& [key, bytes] : elements_) {
      AppendBytesField(out, rule_->number, Merge(bytes, *rule_->schema));
    }
    out += raw_;
  }

 private:
  const FieldRule* rule_ = nullptr;
  uint64_t number_ = 0;
  std::map<std::string, std::vector<std::string_view>> elements_;
  std::string raw_;
};

std::string Merge(const std::vector<std::string_view>& messages, const Schema& schema) {
  static constexpr FieldRule kUnknown = {0, Rule::kKeep};
  std::map<uint64_t, Merged> merged;
  for (size_t i = 0; i < messages.size(); ++i) {
    for (ProtoFields fields(messages[i]); fields.Next();) {
      const FieldRule* rule = schema.Find(fields.number);
      merged[fields.number].Add(fields, rule == nullptr ? kUnknown : *rule, i == 0);
    }
  }
  std::string out;
  for (const auto& [number, field] : merged) field.Write(out);
  return out;
}

}  // namespace

std::string MergeStatisticsMessages(const std::vector<std::string_view>& messages) {
  return Merge(messages, kStatistics);
}

size_t AppendEntries(std::string_view message, std::string& out) {
  size_t count = 0;
  for (ProtoFields fields(message); fields.Next();) {
    if (fields.number != 1 || fields.kind != ProtoFields::Kind::kBytes) continue;
    AppendBytesField(out, 1, fields.bytes);
    ++count;
  }
  return count;
}

bool AsksReadyOnly(std::string_view request) {
  bool ready = false;
  for (ProtoFields fields(request); fields.Next();) {
    if (fields.number == 2) ready = fields.value != 0;
  }
  return ready;
}

std::string MergeIndexMessages(const std::vector<std::string_view>& messages, bool ready_only) {
  struct Entry {
    size_t ready = 0;
    std::string state, reason;  // The first that is not READY.
    bool stated = false;
  };
  std::map<std::pair<std::string, std::string>, Entry> models;  // By name and version.
  for (const std::string_view message : messages) {
    for (ProtoFields fields(message); fields.Next();) {
      if (fields.number != 1) continue;
      std::string texts[5];  // name, version, state, reason from 1.
      for (ProtoFields model(fields.bytes); model.Next();) {
        if (model.number < 5) texts[model.number] = model.bytes;
      }
      Entry& entry = models[{texts[1], texts[2]}];
      if (texts[3] == "READY") {
        ++entry.ready;
      } else if (!std::exchange(entry.stated, true)) {
        entry.state = texts[3];
        entry.reason = texts[4];
      }
    }
  }
  std::string out;
  for (const auto& [name, entry] : models) {
    const bool everywhere = entry.ready == messages.size();
    if (ready_only && !everywhere) continue;
    std::string state = entry.state, reason = entry.reason;
    if (everywhere) {
      state = "READY";
      reason.clear();
    } else if (entry.ready > 0) {
      state = "UNAVAILABLE";
      const std::string of = Concat("READY on ", entry.ready, " of ", messages.size(), " replicas");
      reason = reason.empty() ? of : Concat(of, "; elsewhere: ", reason);
    }
    std::string model;
    const std::string_view texts[] = {name.first, name.second, state, reason};
    for (uint64_t i = 0; i < 4; ++i) {
      if (!texts[i].empty()) AppendBytesField(model, i + 1, texts[i]);
    }
    AppendBytesField(out, 1, model);
  }
  return out;
}

}  // namespace tepal
