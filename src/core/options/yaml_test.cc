#include "core/options/yaml.h"

#include <gtest/gtest.h>

namespace tepal::options {
namespace {

constexpr char kFile[] = "tepal.yaml";

YamlNode Parsed(std::string_view text) {
  Result<YamlNode> node = ParseYaml(text, kFile);
  EXPECT_TRUE(node.ok()) << node.status().ToString();
  return node.ok() ? *std::move(node) : YamlNode();
}

TEST(YamlTest, ReadsTypedFields) {
  const YamlNode tree = Parsed(R"(
model: flower          # a comment
ports: [8000, "8001"]
autoscaling:
  min: 1
  max: 7
  tolerance: 0.1
  window: 30s
  enabled: yes
  metric: in_flight
body_max: 64MiB
environment: {A: "1", B: x}
replicas:
- name: a
- name: b
)");
  YamlReader root(tree, kFile);
  std::string model;
  std::vector<std::string> ports;
  uint64_t body_max = 0;
  std::vector<std::pair<std::string, std::string>> environment;
  root.Text("model", &model);
  root.Texts("ports", &ports);
  root.Bytes("body_max", &body_max);
  root.TextMap("environment", &environment);
  int min = 0;
  uint16_t max = 0;
  double tolerance = 0;
  Duration window{};
  bool enabled = false;
  enum class Metric { kQueue, kInFlight } metric = Metric::kQueue;
  YamlReader scaling = root.Section("autoscaling");
  scaling.Int("min", &min, 1, 64);
  scaling.Int("max", &max);
  scaling.Number("tolerance", &tolerance, 0, 1);
  scaling.Time("window", &window);
  scaling.Flag("enabled", &enabled);
  scaling.Choice("metric", {{"queue", Metric::kQueue}, {"in_flight", Metric::kInFlight}}, &metric);
  std::vector<YamlReader> replicas = root.Sections("replicas");
  std::string names;
  for (YamlReader& replica : replicas) {
    std::string name;
    replica.Text("name", &name);
    names += name;
  }
  EXPECT_TRUE(root.Finish().ok()) << root.Finish().ToString();
  EXPECT_EQ(model, "flower");
  EXPECT_EQ(ports, (std::vector<std::string>{"8000", "8001"}));
  EXPECT_EQ(body_max, 64u << 20);
  ASSERT_EQ(environment.size(), 2u);
  EXPECT_EQ(environment[1], (std::pair<std::string, std::string>("B", "x")));
  EXPECT_EQ(min, 1);
  EXPECT_EQ(max, 7);
  EXPECT_EQ(tolerance, 0.1);
  EXPECT_EQ(window, 30s);
  EXPECT_TRUE(enabled);
  EXPECT_EQ(metric, Metric::kInFlight);
  EXPECT_EQ(names, "ab");
}

TEST(YamlTest, AbsentFieldsKeepTheirDefaults) {
  const YamlNode tree = Parsed("autoscaling:\n");
  YamlReader root(tree, kFile);
  int port = 8000;
  root.Int("port", &port);
  YamlReader scaling = root.Section("autoscaling");
  int max = 7;
  scaling.Int("max", &max);
  root.Section("balancer").Section("queue").Int("max", &max);
  EXPECT_TRUE(root.Sections("list").empty());
  EXPECT_TRUE(root.Finish().ok());
  EXPECT_EQ(port, 8000);
  EXPECT_EQ(max, 7);
  EXPECT_TRUE(YamlReader(Parsed(""), kFile).Finish().ok());
}

TEST(YamlTest, NamesEveryMistakeWithItsLine) {
  const YamlNode tree = Parsed(R"(port: eight
autoscaling:
  max: 700
  window: 30
  tolernce: 0.1
  metric: cpu
slots: three
list:
- a
- {b: 1}
enabled: maybe
zzz: 1
)");
  YamlReader root(tree, kFile);
  int value = 5;
  double number = 5;
  Duration window{};
  bool flag = false;
  std::vector<std::string> texts;
  root.Int("port", &value, 0, 65535);
  YamlReader scaling = root.Section("autoscaling");
  scaling.Int("max", &value, 1, 64);
  scaling.Time("window", &window);
  scaling.Number("tolerance", &number, 0, 1);
  scaling.Choice("metric", {{"queue", 1}, {"in_flight", 2}}, &value);
  scaling.Require("min", "the fewest replicas");
  root.Section("slots");
  root.Texts("list", &texts);
  root.Flag("enabled", &flag);
  root.Fail("port", "0", "a port that is free");
  const Status status = root.Finish();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(),
            "tepal.yaml:1: field 'port': got 'eight', expected a whole number from 0 to 65535\n"
            "tepal.yaml:1: field 'port': got 0, expected a port that is free\n"
            "tepal.yaml:2: field 'autoscaling.min' is missing, expected the fewest replicas\n"
            "tepal.yaml:3: field 'autoscaling.max': got '700', expected a whole number from 1 to "
            "64\n"
            "tepal.yaml:4: field 'autoscaling.window': got '30', expected a duration with its "
            "unit, as 250ms, 30s or 5m\n"
            "tepal.yaml:5: unknown field 'autoscaling.tolernce'; did you mean 'tolerance'?\n"
            "tepal.yaml:6: field 'autoscaling.metric': got 'cpu', expected one of queue or "
            "in_flight\n"
            "tepal.yaml:7: field 'slots': got 'three', expected a mapping of fields\n"
            "tepal.yaml:10: field 'list[1]': got a mapping, expected a text\n"
            "tepal.yaml:11: field 'enabled': got 'maybe', expected true or false\n"
            "tepal.yaml:12: unknown field 'zzz'");
  EXPECT_EQ(value, 5);
}

TEST(YamlTest, SyntaxErrorsHaveLineAndColumn) {
  const auto message = [](std::string_view text) {
    const Result<YamlNode> node = ParseYaml(text, kFile);
    EXPECT_FALSE(node.ok()) << text;
    return node.status().message();
  };
  EXPECT_EQ(message("a: 1\nb: [1, 2\n").substr(0, 13), "tepal.yaml:3:");
  EXPECT_EQ(message("a: 1\na: 2\n"), "tepal.yaml:2:1: field 'a' is given twice");
  EXPECT_EQ(message("{[1]: 2}"), "tepal.yaml:1:2: a key must be a plain text");
  EXPECT_EQ(message("a: 1\n---\nb: 2\n"), "tepal.yaml:2:1: a second document; expected one");
  message(std::string(100000, '['));
  for (const char* stray : {"]", "}", ",", "a: 1\n]", "[]]", "- a\n}", "? ]"}) message(stray);
  EXPECT_EQ(ParseYaml(std::string(kYamlBytesMax + 1, '#'), kFile).status().code(),
            StatusCode::kResourceExhausted);
}

TEST(YamlTest, AliasesCannotExplode) {
  std::string bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n";
  for (char name = 'b'; name <= 'h'; ++name) {
    bomb += std::string(1, name) + ": &" + name + " [";
    for (int i = 0; i < 10; ++i) bomb += std::string(i ? ", *" : "*") + static_cast<char>(name - 1);
    bomb += "]\n";
  }
  const Result<YamlNode> node = ParseYaml(bomb, kFile);
  ASSERT_FALSE(node.ok());
  EXPECT_NE(node.status().message().find("more than 100000 values"), std::string::npos);
}

TEST(YamlTest, TheRootMustBeAMapping) {
  const YamlNode tree = Parsed("- 1\n- 2\n");
  YamlReader root(tree, kFile);
  EXPECT_EQ(root.Finish().message(),
            "tepal.yaml:1: the file: got a list, expected a mapping of fields");
}

TEST(YamlTest, NamedSectionsKeepTheirOrder) {
  const YamlNode tree = Parsed("models:\n  b: {x: 1}\n  a:\n  c: 3\n");
  YamlReader root(tree, kFile);
  std::string order;
  for (auto& [name, section] : root.NamedSections("models")) {
    int x = 0;
    section.Int("x", &x);
    order += name + std::to_string(x);
  }
  EXPECT_EQ(order, "b1a0");
  EXPECT_EQ(root.Finish().message(),
            "tepal.yaml:4: field 'models.c': got '3', expected a mapping of fields");
}

TEST(YamlTest, DocumentsOfAFileKeepTheirLines) {
  const std::string_view text =
      "# head\n---\na: 1\nb: |\n  --- no marker\n---\n# only a comment\n--- {c: 3}\n...\n%YAML "
      "1.2\n"
      "---\nd: \"4\"\n";
  const std::vector<YamlSlice> slices = SplitYaml(text);
  std::string seen;
  for (const YamlSlice& slice : slices) {
    if (slice.blank) continue;
    const Result<YamlNode> node = ParseYaml(slice.text, kFile, slice.first_line);
    ASSERT_TRUE(node.ok()) << node.status().ToString();
    for (const YamlMember& member : node->members) {
      seen += member.name + std::to_string(member.node.line) + (member.node.quoted ? "q " : " ");
    }
  }
  EXPECT_EQ(seen, "a3 b4q c8 d12q ");
  EXPECT_EQ(slices.size(), 6u);
  EXPECT_EQ(SplitYaml("").size(), 1u);
  EXPECT_TRUE(SplitYaml("").front().blank);
  EXPECT_EQ(ParseYaml("a: [", kFile, 10).status().message().substr(0, 12), "tepal.yaml:1");
  EXPECT_EQ(ParseYaml("a: 1\na: 2\n", kFile, 10).status().message(),
            "tepal.yaml:11:1: field 'a' is given twice");
}

}  // namespace
}  // namespace tepal::options
