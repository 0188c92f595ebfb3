#include "scaling/custom_metrics/rules_template.h"

#include <gtest/gtest.h>

namespace tepal::custom_metrics {
namespace {

constexpr std::string_view kFields[] = {"Series", "LabelMatchers", "LabelValuesByName", "GroupBy",
                                        "GroupBySlice"};

TemplateFields Fields() {
  return {{"Series", std::string("up")},
          {"LabelMatchers", std::string("pod=\"a\"")},
          {"LabelValuesByName", TemplateMap{{"namespace", "ns"}, {"pod", "a|b"}}},
          {"GroupBy", std::string("pod,extra")},
          {"GroupBySlice", TemplateList{"pod", "extra"}}};
}

std::string Filled(std::string_view text) {
  const auto parsed = RulesTemplate::Parse(text, kFields);
  if (!parsed.ok()) return parsed.status().ToString();
  const auto out = parsed->Execute(Fields());
  return out.ok() ? *out : out.status().ToString();
}

// Each pair was run through Go 1.26's text/template with the same data.
TEST(RulesTemplate, RunsAsGoDoes) {
  const std::pair<const char*, const char*> cases[] = {
      {"", ""},
      {"plain > text < here", "plain > text < here"},
      {"sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)",
       "sum(up{pod=\"a\"}) by (pod,extra)"},
      {"<< .Series >>|<<.Series|print>>", "up|up"},
      {"<<index .LabelValuesByName \"pod\">>", "a|b"},
      {"<<index .LabelValuesByName `none`>>.", "."},
      {"<<.LabelValuesByName.namespace>> <<.LabelValuesByName.none>>", "ns <no value>"},
      {"<<.LabelValuesByName>> <<.GroupBySlice>>", "map[namespace:ns pod:a|b] [pod extra]"},
      {"<<index .GroupBySlice 1>> <<len .GroupBySlice>>", "extra 2"},
      {"<<range .GroupBySlice>>[<<.>>]<<end>>", "[pod][extra]"},
      {"<<range $i, $g := .GroupBySlice>><<if $i>>,<<end>><<$g>><<end>>", "pod,extra"},
      {"<<range $k, $v := .LabelValuesByName>><<if ne $k \"namespace\">>,<<$k>>=~\"<<$v>>\"<<end>>"
       "<<end>>",
       ",pod=~\"a|b\""},
      {"<<$s := .Series>><<with .GroupBy>><<.>>-<<$s>>-<<$.Series>><<end>>", "pod,extra-up-up"},
      {"<<if eq .Series \"down\">>a<<else if eq .Series \"x\" \"up\">>b<<else>>c<<end>>", "b"},
      {"<<if and .Series (not .GroupBy)>>a<<else>>b<<end>>", "b"},
      {"a  <<- /* note */ ->>  b", "ab"},
      {"a  <<- .Series ->>\n b", "aupb"},
      {"<<$x := \"1\">><<if .Series>><<$x = \"2\">><<end>><<$x>>", "2"},
      {"<<print 1 2 \"a\" \"b\" 3 true>>", "1 2ab3 true"},
      {"<<range index .LabelValuesByName \"none\" | print | len | print | and \"\">>x<<end>>",
       "INVALID_ARGUMENT: template, byte 9: range over what is neither a list nor a map"},
      {"<<or \"\" 0 false>>", "false"},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(Filled(text), expected) << text;
}

TEST(RulesTemplate, RefusesByNameAndPlace) {
  const std::pair<const char*, const char*> cases[] = {
      {"ab<<.Nope>>", "byte 5: got field '.Nope', expected one of .Series"},
      {"<<printf \"%s\" .Series>>",
       "byte 3: function 'printf' is not supported; supported are and"},
      {"<<template \"x\">>", "byte 3: 'template' is not supported"},
      {"<<.Series", "byte 10: got the end, expected '>>'"},
      {"<<if .Series>>x", "byte 3: 'if' has no 'end'"},
      {"x<<end>>", "byte 4: unexpected 'end'"},
      {"<<>>", "byte 3: got nothing, expected a value"},
      {"<<$x>>", "byte 3: undefined variable '$x'"},
      {"<<index .GroupBySlice 2>>", "byte 3: 'index': got 2, expected less than 2"},
      {"<<.Series.x>>", "byte 3: field '.x' of what has no fields"},
      {"<<\"a>>", "byte 3: a string is not closed"},
      {"<<.Series .GroupBy>>", "byte 3: got arguments for what is no function"},
      {"<<eq .Series 1>>", "byte 3: 'eq': got values that cannot be compared"},
      {"<<range .Series>>x<<end>>", "byte 9: range over what is neither"},
      {"<<(.Series>>", "byte 3: '(' is not closed"},
      {"<</* x>>", "byte 1: a comment is not closed"},
      {"<<if .Series>>a<<else>>b<<else>>c<<end>>", "byte 27: a second 'else'"},
  };
  for (const auto& [text, expected] : cases) {
    const std::string got = Filled(text);
    EXPECT_NE(got.find(expected), std::string::npos) << text << "\n  gave " << got;
    EXPECT_TRUE(got.starts_with("INVALID_ARGUMENT: template, ")) << got;
  }
}

TEST(RulesTemplate, IsBounded) {
  std::string deep;
  for (int i = 0; i < 40; ++i) deep += "<<if .Series>>";
  EXPECT_NE(Filled(deep).find("too deeply nested"), std::string::npos);
  std::string loops = "x";
  for (int i = 0; i < 20; ++i) loops = "<<range $.GroupBySlice>>" + loops + "<<end>>";
  EXPECT_NE(Filled(loops).find("too many steps"), std::string::npos);
  EXPECT_NE(Filled(std::string(kTemplateBytesMax + 1, 'x')).find("expected at most"),
            std::string::npos);
}

}  // namespace
}  // namespace tepal::custom_metrics
