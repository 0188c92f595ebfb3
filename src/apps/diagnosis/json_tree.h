// Finding one's way in an object of the Kubernetes API: what is not there is null or empty.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/time.h"
#include "core/json/value.h"

namespace tepal::diagnosis {

// By a path of keys that hold no dot: JsonAt(hpa, "spec.scaleTargetRef").
const json::Value* JsonAt(const json::Value& value, std::string_view path);
std::string_view JsonText(const json::Value& value, std::string_view path);
std::optional<int64_t> JsonInt(const json::Value& value, std::string_view path);
bool JsonTrue(const json::Value& value, std::string_view path);

// A quantity that may be written as a text or as a number.
std::optional<double> JsonQuantity(const json::Value& value, std::string_view path);

// The elements of an array; empty when it is none.
const json::Value::Array& JsonList(const json::Value& value, std::string_view path);

// The condition of this type in status.conditions; null when absent.
const json::Value* ConditionOf(const json::Value& object, std::string_view type);

// "2026-01-02T03:04:05Z", perhaps with parts of a second.
std::optional<WallTime> ParseTimeText(std::string_view text);

// Whether `labels` (an object of texts, or null) fit a LabelSelector object.
bool JsonSelectorMatches(const json::Value* selector, const json::Value* labels);
// "app=flower,tier In (a,b)"; "everything" for an empty one.
std::string JsonSelectorText(const json::Value* selector);

}  // namespace tepal::diagnosis
