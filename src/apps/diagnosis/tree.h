// Finding one's way in a YAML tree of any shape: what is not there is null or empty, never an
// error, because manifests are anybody's.

#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/options/yaml.h"

namespace tepal::diagnosis {

using options::YamlMember;
using options::YamlNode;

// The member `key` of a mapping; null when absent or not a mapping.
const YamlNode* Find(const YamlNode* node, std::string_view key);

// By a path of keys that hold no dot: At(root, "spec.template.spec").
const YamlNode* At(const YamlNode* node, std::string_view path);
std::string_view TextAt(const YamlNode* node, std::string_view path);

// The elements of the sequence at `path`; empty when it is none.
const std::vector<YamlNode>& ListAt(const YamlNode* node, std::string_view path);
// The members of the mapping at `path`; empty when it is none.
const std::vector<YamlMember>& MembersAt(const YamlNode* node, std::string_view path);

// Text members of the mapping at `path`, as labels are.
std::vector<std::pair<std::string, std::string>> TextsAt(const YamlNode* node,
                                                         std::string_view path);

// The line of what is at `path`, or of the nearest thing above it that is there.
int LineOf(const YamlNode* node, std::string_view path);

// Whether a boolean is written there that is true.
bool IsTrue(const YamlNode* node, std::string_view path);

}  // namespace tepal::diagnosis
