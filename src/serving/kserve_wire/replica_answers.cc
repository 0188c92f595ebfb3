#include "serving/kserve_wire/replica_answers.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "core/base/text.h"
#include "core/json/value.h"
#include "core/json/writer.h"

namespace tepal {

namespace {

using json::Value;

constexpr int kDepthMax = 16;  // Far above what a server answers.

void Write(json::Writer& out, const Value& value) {
  if (const Value::Object* object = value.AsObject()) {
    out.BeginObject();
    for (const auto& [key, member] : *object) {
      out.Key(key);
      Write(out, member);
    }
    out.EndObject();
  } else if (const Value::Array* array = value.AsArray()) {
    out.BeginArray();
    for (const Value& element : *array) Write(out, element);
    out.EndArray();
  } else if (const std::string* text = value.AsString()) {
    out.String(*text);
  } else if (const bool* flag = value.AsBool()) {
    out.Bool(*flag);
  } else if (const int64_t* whole = value.AsInt()) {
    out.Int(*whole);
  } else if (const uint64_t* large = value.AsUint()) {
    out.Uint(*large);
  } else if (const auto number = value.AsNumber()) {
    out.Double(*number);
  } else {
    out.Null();
  }
}

std::optional<uint64_t> Whole(const Value& value) {
  if (const uint64_t* large = value.AsUint()) return *large;
  const int64_t* whole = value.AsInt();
  return whole == nullptr || *whole < 0 ? std::nullopt
                                        : std::optional(static_cast<uint64_t>(*whole));
}

Value FromWhole(uint64_t number) {
  if (number <= static_cast<uint64_t>(INT64_MAX)) return Value(static_cast<int64_t>(number));
  return Value(number);
}

std::string TextOf(const Value& object, std::string_view key) {
  const Value* value = object.Find(key);
  const std::string* text = value == nullptr ? nullptr : value->AsString();
  return text == nullptr ? std::string() : *text;
}

Value Added(const Value& a, const Value& b, std::string_view key);

Value AddedNumbers(const Value& a, const Value& b, std::string_view key) {
  const auto whole_a = Whole(a), whole_b = Whole(b);
  if (whole_a.has_value() && whole_b.has_value()) {
    if (key == "last_inference") return FromWhole(std::max(*whole_a, *whole_b));
    const uint64_t sum = *whole_a + *whole_b;
    return FromWhole(sum < *whole_a ? UINT64_MAX : sum);
  }
  return Value(a.AsNumber().value_or(0) + b.AsNumber().value_or(0));
}

Value AddedObjects(const Value::Object& a, const Value::Object& b) {
  Value::Object sum = a;
  for (const auto& [key, member] : b) {
    const auto same = std::find_if(sum.begin(), sum.end(),
                                   [&key = key](const auto& entry) { return entry.first == key; });
    if (same == sum.end()) {
      sum.emplace_back(key, member);
    } else if (key != "batch_size") {
      same->second = Added(same->second, member, key);
    }
  }
  return Value(std::move(sum));
}

// Whether the elements of two arrays speak of the same.
bool Same(const Value& a, const Value& b) {
  const Value *size_a = a.Find("batch_size"), *size_b = b.Find("batch_size");
  if (size_a != nullptr && size_b != nullptr) return Whole(*size_a) == Whole(*size_b);
  return false;
}

Value AddedArrays(const Value::Array& a, const Value::Array& b) {
  Value::Array sum = a;
  for (const Value& element : b) {
    const auto same = std::find_if(sum.begin(), sum.end(),
                                   [&](const Value& known) { return Same(known, element); });
    if (same == sum.end()) {
      sum.push_back(element);
    } else {
      *same = Added(*same, element, {});
    }
  }
  return Value(std::move(sum));
}

Value Added(const Value& a, const Value& b, std::string_view key) {
  if (a.AsObject() != nullptr && b.AsObject() != nullptr) {
    return AddedObjects(*a.AsObject(), *b.AsObject());
  }
  if (a.AsArray() != nullptr && b.AsArray() != nullptr) {
    return AddedArrays(*a.AsArray(), *b.AsArray());
  }
  if (a.AsNumber().has_value() && b.AsNumber().has_value()) return AddedNumbers(a, b, key);
  return a;
}

using Name = std::pair<std::string, std::string>;  // And version.

Name NameOf(const Value& entry) { return {TextOf(entry, "name"), TextOf(entry, "version")}; }

Status NotAnAnswer(size_t index, std::string_view what) {
  return InvalidArgument(Concat("the answer of replica ", index + 1, " is no ", what));
}

}  // namespace

Result<std::string> MergeStatistics(const std::vector<std::string_view>& answers) {
  std::map<Name, Value> models;
  for (size_t i = 0; i < answers.size(); ++i) {
    const Result<Value> answer = json::Parse(answers[i], kDepthMax);
    const Value* entries = answer.ok() ? answer->Find("model_stats") : nullptr;
    if (entries == nullptr || entries->AsArray() == nullptr) return NotAnAnswer(i, "statistics");
    for (const Value& entry : *entries->AsArray()) {
      const auto [known, fresh] = models.emplace(NameOf(entry), entry);
      if (!fresh) known->second = Added(known->second, entry, {});
    }
  }
  json::Writer out;
  out.BeginObject().Key("model_stats").BeginArray();
  for (const auto& [name, entry] : models) Write(out, entry);
  out.EndArray().EndObject();
  return out.Take();
}

Result<std::string> MergeIndexes(const std::vector<std::string_view>& answers, bool ready_only) {
  struct Entry {
    size_t ready = 0;
    std::string state, reason;  // The first that is not READY.
    bool stated = false;
  };
  std::map<Name, Entry> models;
  for (size_t i = 0; i < answers.size(); ++i) {
    const Result<Value> answer = json::Parse(answers[i], kDepthMax);
    if (!answer.ok() || answer->AsArray() == nullptr) return NotAnAnswer(i, "repository index");
    for (const Value& given : *answer->AsArray()) {
      Entry& entry = models[NameOf(given)];
      const std::string state = TextOf(given, "state");
      if (state == "READY") {
        ++entry.ready;
      } else if (!std::exchange(entry.stated, true)) {
        entry.state = state;
        entry.reason = TextOf(given, "reason");
      }
    }
  }
  json::Writer out;
  out.BeginArray();
  for (const auto& [name, entry] : models) {
    const bool everywhere = entry.ready == answers.size();
    if (ready_only && !everywhere) continue;
    out.BeginObject().Key("name").String(name.first);
    if (!name.second.empty()) out.Key("version").String(name.second);
    std::string state = entry.state, reason = entry.reason;
    if (everywhere) {
      state = "READY";
      reason.clear();
    } else if (entry.ready > 0) {
      state = "UNAVAILABLE";
      const std::string of = Concat("READY on ", entry.ready, " of ", answers.size(), " replicas");
      reason = reason.empty() ? of : Concat(of, "; elsewhere: ", reason);
    }
    if (!state.empty()) out.Key("state").String(state);
    if (!reason.empty()) out.Key("reason").String(reason);
    out.EndObject();
  }
  out.EndArray();
  return out.Take();
}

}  // namespace tepal
