// Label selectors of the Kubernetes API, equality and set based: "app=web,tier in (a,b),!old".
//
// Parsed as k8s.io/apimachinery's labels.Parse does it: keys are qualified names, values label
// values; what it refuses is refused with the part that is wrong. An empty selector selects
// everything. Pure.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/function.h"
#include "core/base/result.h"

namespace tepal::custom_metrics {

inline constexpr size_t kSelectorBytesMax = 16 * 1024;
inline constexpr size_t kSelectorRequirementsMax = 256;
inline constexpr size_t kSelectorValuesMax = 4096;  // Of all requirements together.

struct LabelRequirement {
  enum class Operator { kEquals, kNotEquals, kIn, kNotIn, kExists, kDoesNotExist, kGreater, kLess };
  std::string key;
  Operator op = Operator::kExists;
  // Sorted, without repeats. None of kExists and kDoesNotExist; several only of kIn and kNotIn.
  std::vector<std::string> values;
};

class LabelSelector {
 public:
  // kInvalidArgument says what is wrong and where.
  static Result<LabelSelector> Parse(std::string_view text);

  // `label_of(key)` is the value of a label, null when there is none.
  using LabelOf = Function<const std::string*(const std::string& key)>;
  bool Matches(LabelOf label_of) const;

  const std::vector<LabelRequirement>& requirements() const { return requirements_; }
  bool empty() const { return requirements_.empty(); }

  // The same selector, as Kubernetes writes it.
  std::string ToString() const;

 private:
  std::vector<LabelRequirement> requirements_;  // In order of their keys.
};

}  // namespace tepal::custom_metrics
