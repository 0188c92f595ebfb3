// Changing a YAML tree: fields by key, new parts written as YAML themselves.

#pragma once

#include <string>
#include <string_view>

#include "apps/diagnosis/tree.h"

namespace tepal::diagnosis {

// `text` as a tree without lines, so that no comment is taken for one of its own. It is our own
// text, with others' only as Inline: it parses.
YamlNode Snippet(std::string_view text);

// Anybody's text as a value in such a snippet: quoted unless it can be nothing but a plain text.
std::string Inline(std::string_view text);

// The member `key`; null when absent.
YamlNode* FindIn(YamlNode* node, std::string_view key);
YamlNode* AtIn(YamlNode* node, std::string_view path);  // As At().

// The member `key`, made when absent; `node` becomes a mapping.
YamlNode& Child(YamlNode& node, std::string_view key);

void SetText(YamlNode& node, std::string_view key, std::string_view text);
void Set(YamlNode& node, std::string_view key, YamlNode value);
// Only when the member is absent.
void SetDefault(YamlNode& node, std::string_view key, std::string_view snippet);
void Erase(YamlNode& node, std::string_view key);

YamlNode TextNode(std::string_view text);

}  // namespace tepal::diagnosis
