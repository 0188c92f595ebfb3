#include "apps/diagnosis/tree.h"

#include "core/base/text.h"

namespace tepal::diagnosis {

const YamlNode* Find(const YamlNode* node, std::string_view key) {
  if (node == nullptr) return nullptr;
  for (const YamlMember& member : node->members) {
    if (member.name == key) return &member.node;
  }
  return nullptr;
}

const YamlNode* At(const YamlNode* node, std::string_view path) {
  if (path.empty()) return node;
  for (const std::string_view key : Split(path, '.')) node = Find(node, key);
  return node;
}

std::string_view TextAt(const YamlNode* node, std::string_view path) {
  const YamlNode* const found = At(node, path);
  if (found == nullptr || found->kind != YamlNode::Kind::kScalar) return {};
  return found->scalar;
}

const std::vector<YamlNode>& ListAt(const YamlNode* node, std::string_view path) {
  static const std::vector<YamlNode> kNone;
  const YamlNode* const found = At(node, path);
  return found == nullptr ? kNone : found->elements;
}

const std::vector<YamlMember>& MembersAt(const YamlNode* node, std::string_view path) {
  static const std::vector<YamlMember> kNone;
  const YamlNode* const found = At(node, path);
  return found == nullptr ? kNone : found->members;
}

std::vector<std::pair<std::string, std::string>> TextsAt(const YamlNode* node,
                                                         std::string_view path) {
  std::vector<std::pair<std::string, std::string>> texts;
  for (const YamlMember& member : MembersAt(node, path)) {
    texts.emplace_back(member.name, member.node.scalar);
  }
  return texts;
}

int LineOf(const YamlNode* node, std::string_view path) {
  int line = node == nullptr ? 0 : node->line;
  for (const std::string_view key : Split(path, '.')) {
    node = Find(node, key);
    if (node == nullptr) break;
    line = node->line;
  }
  return line;
}

bool IsTrue(const YamlNode* node, std::string_view path) {
  const YamlNode* const found = At(node, path);
  return found != nullptr && !found->quoted && found->scalar == "true";
}

}  // namespace tepal::diagnosis
