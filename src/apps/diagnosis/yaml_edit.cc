#include "apps/diagnosis/yaml_edit.h"

#include <algorithm>

#include "core/base/check.h"
#include "core/base/text.h"
#include "core/options/values.h"

namespace tepal::diagnosis {
namespace {

void ForgetLines(YamlNode& node) {
  node.line = 0;
  for (YamlMember& member : node.members) ForgetLines(member.node);
  for (YamlNode& element : node.elements) ForgetLines(element);
}

}  // namespace

YamlNode Snippet(std::string_view text) {
  Result<YamlNode> node = options::ParseYaml(text, "snippet");
  TEPAL_CHECK(node.ok());
  ForgetLines(*node);
  return *std::move(node);
}

std::string Inline(std::string_view text) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const bool plain = !text.empty() && is_letter(text[0]) && !options::ParseBool(text) &&
                     !EqualsIgnoreCase(text, "null") && !EqualsIgnoreCase(text, "y") &&
                     !EqualsIgnoreCase(text, "n") &&
                     std::all_of(text.begin(), text.end(), [&](char c) {
                       return is_letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
                              c == '_' || c == '/';
                     });
  if (plain) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    // Control characters are in no name that a cluster takes.
    quoted += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  }
  return quoted + "\"";
}

YamlNode* FindIn(YamlNode* node, std::string_view key) {
  if (node == nullptr) return nullptr;
  for (YamlMember& member : node->members) {
    if (member.name == key) return &member.node;
  }
  return nullptr;
}

YamlNode* AtIn(YamlNode* node, std::string_view path) {
  for (const std::string_view key : Split(path, '.')) node = FindIn(node, key);
  return node;
}

YamlNode& Child(YamlNode& node, std::string_view key) {
  if (YamlNode* const found = FindIn(&node, key)) return *found;
  node.kind = YamlNode::Kind::kMapping;
  YamlNode& child = node.members.emplace_back(YamlMember{std::string(key), {}}).node;
  child.line = 0;
  return child;
}

void SetText(YamlNode& node, std::string_view key, std::string_view text) {
  YamlNode& child = Child(node, key);
  const int line = child.line;
  child = TextNode(text);
  child.line = line;
}

void Set(YamlNode& node, std::string_view key, YamlNode value) {
  YamlNode& child = Child(node, key);
  const int line = child.line;
  child = std::move(value);
  child.line = line;
}

void SetDefault(YamlNode& node, std::string_view key, std::string_view snippet) {
  if (FindIn(&node, key) == nullptr) Set(node, key, Snippet(snippet));
}

void Erase(YamlNode& node, std::string_view key) {
  std::erase_if(node.members, [key](const YamlMember& member) { return member.name == key; });
}

YamlNode TextNode(std::string_view text) {
  YamlNode node;
  node.kind = YamlNode::Kind::kScalar;
  node.line = 0;
  node.scalar = text;
  return node;
}

}  // namespace tepal::diagnosis
