#include "apps/diagnosis/json_tree.h"

#include <algorithm>

#include "core/base/text.h"
#include "scaling/custom_metrics/quantity.h"

namespace tepal::diagnosis {
namespace {

const std::string* LabelValue(const json::Value* labels, std::string_view key) {
  const json::Value* const found = labels == nullptr ? nullptr : labels->Find(key);
  return found == nullptr ? nullptr : found->AsString();
}

bool FitsExpression(const json::Value& expression, const json::Value* labels) {
  const std::string* const value = LabelValue(labels, JsonText(expression, "key"));
  const std::string_view how = JsonText(expression, "operator");
  const auto& values = JsonList(expression, "values");
  const bool among =
      value != nullptr && std::any_of(values.begin(), values.end(), [&](const json::Value& one) {
        return one.AsString() != nullptr && *one.AsString() == *value;
      });
  if (how == "In") return among;
  if (how == "NotIn") return !among;
  return (how == "Exists") == (value != nullptr);
}

}  // namespace

const json::Value* JsonAt(const json::Value& value, std::string_view path) {
  const json::Value* at = &value;
  if (path.empty()) return at;
  for (const std::string_view key : Split(path, '.')) {
    at = at->Find(key);
    if (at == nullptr) return nullptr;
  }
  return at;
}

std::string_view JsonText(const json::Value& value, std::string_view path) {
  const json::Value* const found = JsonAt(value, path);
  if (found == nullptr || found->AsString() == nullptr) return {};
  return *found->AsString();
}

std::optional<int64_t> JsonInt(const json::Value& value, std::string_view path) {
  const json::Value* const found = JsonAt(value, path);
  if (found == nullptr || found->AsInt() == nullptr) return std::nullopt;
  return *found->AsInt();
}

bool JsonTrue(const json::Value& value, std::string_view path) {
  const json::Value* const found = JsonAt(value, path);
  return found != nullptr && found->AsBool() != nullptr && *found->AsBool();
}

std::optional<double> JsonQuantity(const json::Value& value, std::string_view path) {
  const json::Value* const found = JsonAt(value, path);
  if (found == nullptr) return std::nullopt;
  if (found->AsString() != nullptr) return custom_metrics::ParseQuantity(*found->AsString());
  return found->AsNumber();
}

const json::Value::Array& JsonList(const json::Value& value, std::string_view path) {
  static const json::Value::Array kNone;
  const json::Value* const found = JsonAt(value, path);
  return found == nullptr || found->AsArray() == nullptr ? kNone : *found->AsArray();
}

const json::Value* ConditionOf(const json::Value& object, std::string_view type) {
  for (const json::Value& condition : JsonList(object, "status.conditions")) {
    if (JsonText(condition, "type") == type) return &condition;
  }
  return nullptr;
}

std::optional<WallTime> ParseTimeText(std::string_view text) {
  if (text.size() < 20 || text[4] != '-' || text[10] != 'T' || !text.ends_with('Z')) {
    return std::nullopt;
  }
  const auto number = [text](size_t at, size_t size) {
    return ParseNumber<unsigned>(text.substr(at, size)).value_or(100);
  };
  const auto year = ParseNumber<int>(text.substr(0, 4));
  const std::chrono::year_month_day day(std::chrono::year(year.value_or(0)),
                                        std::chrono::month(number(5, 2)),
                                        std::chrono::day(number(8, 2)));
  const unsigned hours = number(11, 2), minutes = number(14, 2), seconds = number(17, 2);
  if (!year.has_value() || !day.ok() || hours > 23 || minutes > 59 || seconds > 60) {
    return std::nullopt;
  }
  return WallTime(std::chrono::sys_days(day).time_since_epoch() + std::chrono::hours(hours) +
                  std::chrono::minutes(minutes) + std::chrono::seconds(seconds));
}

bool JsonSelectorMatches(const json::Value* selector, const json::Value* labels) {
  if (selector == nullptr) return false;  // A selector that is not there selects nothing.
  const json::Value* const equal = selector->Find("matchLabels");
  if (equal != nullptr && equal->AsObject() != nullptr) {
    for (const auto& [key, wanted] : *equal->AsObject()) {
      const std::string* const value = LabelValue(labels, key);
      if (value == nullptr || wanted.AsString() == nullptr || *value != *wanted.AsString()) {
        return false;
      }
    }
  }
  const auto& expressions = JsonList(*selector, "matchExpressions");
  return std::all_of(expressions.begin(), expressions.end(),
                     [labels](const json::Value& one) { return FitsExpression(one, labels); });
}

std::string JsonSelectorText(const json::Value* selector) {
  std::string text;
  if (selector == nullptr) return "nothing";
  const json::Value* const equal = selector->Find("matchLabels");
  if (equal != nullptr && equal->AsObject() != nullptr) {
    for (const auto& [key, value] : *equal->AsObject()) {
      text += Concat(text.empty() ? "" : ",", key, "=",
                     value.AsString() == nullptr ? std::string() : *value.AsString());
    }
  }
  for (const json::Value& expression : JsonList(*selector, "matchExpressions")) {
    text += Concat(text.empty() ? "" : ",", JsonText(expression, "key"), " ",
                   JsonText(expression, "operator"), " (");
    std::string_view comma = "";
    for (const json::Value& value : JsonList(expression, "values")) {
      text += Concat(comma, value.AsString() == nullptr ? std::string() : *value.AsString());
      comma = ",";
    }
    text += ")";
  }
  return text.empty() ? "everything" : text;
}

}  // namespace tepal::diagnosis
