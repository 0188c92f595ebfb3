#include "core/options/yaml_write.h"

#include <gtest/gtest.h>

namespace tepal::options {
namespace {

std::string Rewritten(std::string_view text) {
  const Result<YamlNode> node = ParseYaml(text, "f.yaml");
  EXPECT_TRUE(node.ok()) << node.status().ToString();
  return node.ok() ? WriteYaml(*node, FindYamlComments(text)) : std::string();
}

TEST(YamlWriteTest, WhatItWritesIsAsItWasRead) {
  constexpr char kText[] = R"(# Head.
a: 1
b: "1"  # A text.
c:
# Of the first.
- name: x
  at: "true"
  empty: {}
- - deep
  - []
d:
  e: |
    # No comment.
      text: 'with'
    end
  f: |-
    two
    lines
g: --flag=value
h:
i: "# no comment"
# Tail.
)";
  EXPECT_EQ(Rewritten(kText), kText);
}

TEST(YamlWriteTest, OtherStylesMeanTheSame) {
  EXPECT_EQ(Rewritten("a: {b: [c, 'd', \"e\\ty\"], 'f g': yes}\n"),
            "a:\n  b:\n  - c\n  - d\n  - \"e\\ty\"\n  f g: yes\n");
  EXPECT_EQ(Rewritten("a: ' b'\nc: '- d'\ne: 'f: g'\nh: ''\n\"1\": null\n"),
            "a: \" b\"\nc: \"- d\"\ne: \"f: g\"\nh: \"\"\n\"1\":\n");
}

// YAML 1.1, which the API server's parser still speaks, takes it for a boolean.
TEST(YamlWriteTest, KeysThatCouldBeSomethingElseAreQuoted) {
  EXPECT_EQ(Rewritten("on: 1\n"), "\"on\": 1\n");
}

TEST(YamlWriteTest, TextsThatBlocksCannotHoldAreEscaped) {
  EXPECT_EQ(Rewritten("a: \"x \\ny\"\n"), "a: \"x \\ny\"\n");
  EXPECT_EQ(Rewritten("a: \"\\n\\n\"\n"), "a: \"\\n\\n\"\n");
  EXPECT_EQ(Rewritten("a: \" x\\ny\"\n"), "a: \" x\\ny\"\n");
}

}  // namespace
}  // namespace tepal::options
