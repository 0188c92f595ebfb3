// A YAML tree as text: blocks of two columns, lists level with their key, as kubectl writes them.
//
// What is written reads back as the same tree. Comments of the text that a tree was read from can
// be kept: each is written where the node of its line is.

#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/options/yaml.h"

namespace tepal::options {

struct YamlComment {
  int line = 1;       // Of the file.
  std::string text;   // With its '#'.
  bool alone = true;  // On a line of its own; otherwise behind what stands on the line.
};

// The comments of a text, "#" inside quotes and block texts left out.
std::vector<YamlComment> FindYamlComments(std::string_view text, int first_line = 1);

// `root` is a mapping or a list. Comments of lines that no node has come before the next node;
// those behind the last one come last.
std::string WriteYaml(const YamlNode& root, std::span<const YamlComment> comments = {});

}  // namespace tepal::options
