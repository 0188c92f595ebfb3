#include "apps/diagnosis/yaml_repair.h"

#include <gtest/gtest.h>

#include "core/options/yaml.h"

namespace tepal::diagnosis {
namespace {

std::string Repaired(std::string_view text) {
  const auto repair = RepairYaml(text);
  return repair.has_value() ? repair->text : "";
}

TEST(YamlRepairTest, WhatParsesIsLeftAlone) {
  EXPECT_FALSE(RepairYaml("a: 1\nb:\n  - c: 2\n    d: 3\n").has_value());
  EXPECT_FALSE(RepairYaml("").has_value());
  EXPECT_FALSE(RepairYaml("a: |\n  b\n   c: d\n").has_value());
}

TEST(YamlRepairTest, AFieldTooFarRightStandsWithItsNeighbours) {
  const auto repair = RepairYaml("list:\n- port: web\n   interval: 10s\n   path: /metrics\n");
  ASSERT_TRUE(repair.has_value());
  EXPECT_EQ(repair->text, "list:\n- port: web\n  interval: 10s\n  path: /metrics\n");
  ASSERT_EQ(repair->changes.size(), 2u);
  EXPECT_EQ(repair->changes[0].line, 3);
  EXPECT_EQ(repair->changes[0].what,
            "'interval' stands at column 4; the fields beside it are at column 3");
}

TEST(YamlRepairTest, AFieldBetweenTwoLevelsBelongsToTheDeeper) {
  EXPECT_EQ(Repaired("rules:\n- a: 1\n  name:\n    as: x\n query: y\n"),
            "rules:\n- a: 1\n  name:\n    as: x\n  query: y\n");
}

TEST(YamlRepairTest, ALineThatLeavesItsBlockTextGoesBack) {
  const auto repair = RepairYaml("data:\n  file: |\n    a: 'long\ntext'\n  other: 1\n", 10);
  ASSERT_TRUE(repair.has_value());
  EXPECT_EQ(repair->text, "data:\n  file: |\n    a: 'long\n      text'\n  other: 1\n");
  EXPECT_EQ(repair->changes.at(0).line, 13);
  const auto node = options::ParseYaml(repair->text, "f");
  ASSERT_TRUE(node.ok());
  EXPECT_EQ(node->members[0].node.members[0].node.scalar, "a: 'long\n  text'\n");
}

TEST(YamlRepairTest, ALastLineAtTheMarginIsRepairedToo) {
  EXPECT_EQ(Repaired("data:\n  file: |\n    a: 'long\ntext'\n"),
            "data:\n  file: |\n    a: 'long\n      text'\n");
  EXPECT_FALSE(RepairYaml("a: |\n  text\n\"b\": 1\n").has_value());
  EXPECT_FALSE(RepairYaml("a: |\n  text\n# comment\nb: 1\n").has_value());
  EXPECT_FALSE(RepairYaml("- a: |\n    text\n- b: 1\n").has_value());
}

TEST(YamlRepairTest, WhatItCannotMakeSenseOfIsNotRepaired) {
  EXPECT_FALSE(RepairYaml("a: [1, 2\n").has_value());
  EXPECT_FALSE(RepairYaml("a: 1\n  b: [\n").has_value());
  EXPECT_FALSE(RepairYaml("a: {{ .Values.x }}\n").has_value());
}

}  // namespace
}  // namespace tepal::diagnosis
