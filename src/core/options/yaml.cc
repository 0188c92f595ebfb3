#include "core/options/yaml.h"

#include <algorithm>
#include <map>

#include "core/base/text.h"
#include "core/options/values.h"

namespace tepal::options {
namespace {

// What a person sees at that place.
std::string Seen(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return "nothing";
    case YamlNode::Kind::kScalar:
      return Concat("'", node.scalar, "'");
    case YamlNode::Kind::kSequence:
      return "a list";
    case YamlNode::Kind::kMapping:
      return "a mapping";
  }
  return "nothing";
}

std::string RangeText(int64_t min, int64_t max) {
  if (max == std::numeric_limits<int64_t>::max()) {
    return min == std::numeric_limits<int64_t>::min() ? std::string("a whole number")
                                                      : Concat("a whole number of at least ", min);
  }
  return Concat("a whole number from ", min, " to ", max);
}

std::string RangeText(double min, double max) {
  const bool lower = min > std::numeric_limits<double>::lowest();
  const bool upper = max < std::numeric_limits<double>::max();
  if (lower && upper) return Concat("a number from ", min, " to ", max);
  if (lower) return Concat("a number of at least ", min);
  if (upper) return Concat("a number of at most ", max);
  return "a number";
}

std::string JoinNames(const std::vector<std::string_view>& names) {
  std::string text = names.size() > 1 ? "one of " : "";
  for (size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text.append(i + 1 == names.size() ? " or " : ", ");
    text.append(names[i]);
  }
  return text;
}

}  // namespace

struct YamlReader::State {
  struct Known {
    std::string path;
    std::vector<std::string> names;
  };
  std::string file;
  std::multimap<int, std::string> complaints;  // By line.
  std::map<const YamlNode*, Known> known;
};

YamlReader::YamlReader(const YamlNode& node, std::string file)
    : YamlReader(std::make_shared<State>(), node, "") {
  state_->file = std::move(file);
  if (node.kind != YamlNode::Kind::kMapping) Complain(node, "", "a mapping of fields");
}

YamlReader::YamlReader(std::shared_ptr<State> state, const YamlNode& node, std::string path)
    : state_(std::move(state)), node_(&node), path_(std::move(path)) {
  state_->known[node_].path = path_;
}

const std::string& YamlReader::file() const { return state_->file; }

std::string YamlReader::PathOf(std::string_view key) const {
  return path_.empty() ? std::string(key) : Concat(path_, ".", key);
}

const YamlNode* YamlReader::Find(std::string_view key) {
  auto& names = state_->known[node_].names;
  if (std::find(names.begin(), names.end(), key) == names.end()) names.emplace_back(key);
  for (const auto& [name, member] : node_->members) {
    if (name == key) return &member;
  }
  return nullptr;
}

const YamlNode* YamlReader::FindScalar(std::string_view key, std::string_view expected) {
  const YamlNode* node = Find(key);
  if (node == nullptr || node->kind == YamlNode::Kind::kScalar) return node;
  Complain(*node, PathOf(key), expected);
  return nullptr;
}

void YamlReader::Complain(const YamlNode& node, std::string_view path, std::string_view expected) {
  const std::string where = path.empty() ? std::string("the file") : Concat("field '", path, "'");
  state_->complaints.emplace(node.line,
                             Concat(where, ": got ", Seen(node), ", expected ", expected));
}

const YamlNode* YamlReader::Node(std::string_view key) { return Find(key); }
bool YamlReader::Has(std::string_view key) { return Find(key) != nullptr; }

void YamlReader::Text(std::string_view key, std::string* out) {
  if (const YamlNode* node = FindScalar(key, "a text")) *out = node->scalar;
}

void YamlReader::Flag(std::string_view key, bool* out) {
  const YamlNode* node = FindScalar(key, kBoolExpected);
  if (node == nullptr) return;
  if (const auto value = ParseBool(node->scalar)) {
    *out = *value;
  } else {
    Complain(*node, PathOf(key), kBoolExpected);
  }
}

void YamlReader::Number(std::string_view key, double* out, double min, double max) {
  const YamlNode* node = FindScalar(key, RangeText(min, max));
  if (node == nullptr) return;
  const auto value = ParseNumber<double>(node->scalar);
  if (value && *value >= min && *value <= max) {
    *out = *value;
  } else {
    Complain(*node, PathOf(key), RangeText(min, max));
  }
}

bool YamlReader::ReadInt(std::string_view key, int64_t* out, int64_t min, int64_t max) {
  const YamlNode* node = FindScalar(key, RangeText(min, max));
  if (node == nullptr) return false;
  const auto value = ParseNumber<int64_t>(node->scalar);
  if (!value || *value < min || *value > max) {
    Complain(*node, PathOf(key), RangeText(min, max));
    return false;
  }
  *out = *value;
  return true;
}

bool YamlReader::ReadChoice(std::string_view key, const std::vector<std::string_view>& names,
                            size_t* out) {
  const YamlNode* node = FindScalar(key, JoinNames(names));
  if (node == nullptr) return false;
  const auto found = std::find(names.begin(), names.end(), node->scalar);
  if (found == names.end()) {
    Complain(*node, PathOf(key), JoinNames(names));
    return false;
  }
  *out = static_cast<size_t>(found - names.begin());
  return true;
}

void YamlReader::Time(std::string_view key, Duration* out) {
  const YamlNode* node = FindScalar(key, kDurationExpected);
  if (node == nullptr) return;
  if (const auto value = ParseDuration(node->scalar)) {
    *out = *value;
  } else {
    Complain(*node, PathOf(key), kDurationExpected);
  }
}

void YamlReader::Bytes(std::string_view key, uint64_t* out) {
  const YamlNode* node = FindScalar(key, kBytesExpected);
  if (node == nullptr) return;
  if (const auto value = ParseBytes(node->scalar)) {
    *out = *value;
  } else {
    Complain(*node, PathOf(key), kBytesExpected);
  }
}

void YamlReader::Texts(std::string_view key, std::vector<std::string>* out) {
  const YamlNode* node = Find(key);
  if (node == nullptr) return;
  if (node->kind != YamlNode::Kind::kSequence) {
    Complain(*node, PathOf(key), "a list of texts");
    return;
  }
  std::vector<std::string> texts;
  for (size_t i = 0; i < node->elements.size(); ++i) {
    const YamlNode& element = node->elements[i];
    if (element.kind != YamlNode::Kind::kScalar) {
      Complain(element, Concat(PathOf(key), "[", i, "]"), "a text");
      return;
    }
    texts.push_back(element.scalar);
  }
  *out = std::move(texts);
}

void YamlReader::TextMap(std::string_view key,
                         std::vector<std::pair<std::string, std::string>>* out) {
  const YamlNode* node = Find(key);
  if (node == nullptr) return;
  if (node->kind != YamlNode::Kind::kMapping) {
    Complain(*node, PathOf(key), "a mapping of texts");
    return;
  }
  std::vector<std::pair<std::string, std::string>> texts;
  for (const auto& [name, member] : node->members) {
    if (member.kind != YamlNode::Kind::kScalar) {
      Complain(member, Concat(PathOf(key), ".", name), "a text");
      return;
    }
    texts.emplace_back(name, member.scalar);
  }
  *out = std::move(texts);
}

YamlReader YamlReader::Section(std::string_view key) {
  static const YamlNode kAbsent;
  const YamlNode* node = Find(key);
  if (node != nullptr && node->kind == YamlNode::Kind::kMapping) {
    return YamlReader(state_, *node, PathOf(key));
  }
  if (node != nullptr && node->kind != YamlNode::Kind::kNull) {
    Complain(*node, PathOf(key), "a mapping of fields");
  }
  // What is asked of it counts for nothing, so its names may be shared by all absent sections.
  return YamlReader(state_, node != nullptr ? *node : kAbsent, PathOf(key));
}

std::vector<YamlReader> YamlReader::Sections(std::string_view key) {
  std::vector<YamlReader> sections;
  const YamlNode* node = Find(key);
  if (node == nullptr || node->kind == YamlNode::Kind::kNull) return sections;
  if (node->kind != YamlNode::Kind::kSequence) {
    Complain(*node, PathOf(key), "a list");
    return sections;
  }
  for (size_t i = 0; i < node->elements.size(); ++i) {
    const std::string path = Concat(PathOf(key), "[", i, "]");
    if (node->elements[i].kind != YamlNode::Kind::kMapping) {
      Complain(node->elements[i], path, "a mapping of fields");
      continue;
    }
    sections.push_back(YamlReader(state_, node->elements[i], path));
  }
  return sections;
}

std::vector<std::pair<std::string, YamlReader>> YamlReader::NamedSections(std::string_view key) {
  std::vector<std::pair<std::string, YamlReader>> sections;
  const YamlNode* node = Find(key);
  if (node == nullptr || node->kind == YamlNode::Kind::kNull) return sections;
  if (node->kind != YamlNode::Kind::kMapping) {
    Complain(*node, PathOf(key), "a mapping");
    return sections;
  }
  for (const auto& [name, member] : node->members) {
    const std::string path = Concat(PathOf(key), ".", name);
    if (member.kind != YamlNode::Kind::kMapping && member.kind != YamlNode::Kind::kNull) {
      Complain(member, path, "a mapping of fields");
      continue;
    }
    sections.emplace_back(name, YamlReader(state_, member, path));
  }
  return sections;
}

void YamlReader::Require(std::string_view key, std::string_view expected) {
  if (Find(key) != nullptr) return;
  state_->complaints.emplace(node_->line,
                             Concat("field '", PathOf(key), "' is missing, expected ", expected));
}

void YamlReader::Fail(std::string_view key, std::string_view got, std::string_view expected) {
  const YamlNode* node = Find(key);
  state_->complaints.emplace(
      node != nullptr ? node->line : node_->line,
      Concat("field '", PathOf(key), "': got ", got, ", expected ", expected));
}

Status YamlReader::Finish() {
  std::multimap<int, std::string> complaints = state_->complaints;
  for (const auto& [node, known] : state_->known) {
    const std::vector<std::string_view> names(known.names.begin(), known.names.end());
    for (const auto& [name, member] : node->members) {
      if (std::find(names.begin(), names.end(), name) != names.end()) continue;
      const std::string path = known.path.empty() ? name : Concat(known.path, ".", name);
      const auto nearest = NearestName(name, names);
      complaints.emplace(member.line,
                         Concat("unknown field '", path, "'",
                                nearest ? Concat("; did you mean '", *nearest, "'?") : ""));
    }
  }
  std::string text;
  for (const auto& [line, complaint] : complaints) {
    text.append(Concat(text.empty() ? "" : "\n", state_->file, ":", line, ": ", complaint));
  }
  return text.empty() ? Status() : InvalidArgument(std::move(text));
}

}  // namespace tepal::options
