// Label selectors: what apimachinery takes and refuses, and what they match.

#include "scaling/custom_metrics/label_selector.h"

#include <gtest/gtest.h>

#include <map>

#include "core/base/text.h"

namespace tepal::custom_metrics {
namespace {

using Labels = std::map<std::string, std::string>;

bool Matches(std::string_view selector, const Labels& labels) {
  const auto parsed = LabelSelector::Parse(selector);
  EXPECT_TRUE(parsed.ok()) << selector << ": " << parsed.status().ToString();
  return parsed.ok() && parsed->Matches([&](const std::string& key) {
    const auto found = labels.find(key);
    return found == labels.end() ? nullptr : &found->second;
  });
}

TEST(LabelSelectorTest, Equality) {
  const Labels labels = {{"app", "web"}, {"tier", ""}, {"a.example.com/b", "1"}};
  EXPECT_TRUE(Matches("", labels));
  EXPECT_TRUE(Matches("  ", labels));
  EXPECT_TRUE(Matches("app=web", labels));
  EXPECT_TRUE(Matches(" app == web , a.example.com/b=1", labels));
  EXPECT_FALSE(Matches("app=db", labels));
  EXPECT_FALSE(Matches("app=web,tier=x", labels));
  EXPECT_TRUE(Matches("tier=", labels));
  EXPECT_TRUE(Matches("app!=db", labels));
  EXPECT_TRUE(Matches("none!=db", labels));
  EXPECT_FALSE(Matches("none=", labels));
  EXPECT_FALSE(Matches("app!=web", labels));
}

TEST(LabelSelectorTest, Sets) {
  const Labels labels = {{"app", "web"}, {"tier", ""}, {"in", "notin"}, {"weight", "10"}};
  EXPECT_TRUE(Matches("app in (web, db)", labels));
  EXPECT_FALSE(Matches("app in (db)", labels));
  EXPECT_FALSE(Matches("app notin (web,db)", labels));
  EXPECT_TRUE(Matches("none notin (web)", labels));
  EXPECT_TRUE(Matches("tier in (a,)", labels));
  EXPECT_TRUE(Matches("tier in ()", labels));
  EXPECT_TRUE(Matches("app", labels));
  EXPECT_FALSE(Matches("!app", labels));
  EXPECT_TRUE(Matches("!none, app", labels));
  EXPECT_TRUE(Matches("in in (notin)", labels));
  EXPECT_TRUE(Matches("in=notin", labels));
  EXPECT_TRUE(Matches("weight>9,weight<11", labels));
  EXPECT_FALSE(Matches("weight>10", labels));
  EXPECT_FALSE(Matches("app>1", labels));
}

TEST(LabelSelectorTest, RefusesWhatIsNone) {
  const std::string long_name(64, 'a');
  for (const std::string& text :
       {std::string("a b"),     std::string(","),          std::string("a,"),
        std::string("a,,b"),    std::string("=a"),         std::string("a in b"),
        std::string("a in (b"), std::string("a in (b c)"), std::string("a>x"),
        std::string("a>"),      std::string("!"),          std::string("!a=b"),
        std::string("a=b=c"),   std::string("a===b"),      std::string("-a"),
        std::string("a=-b"),    std::string("/a"),         std::string("a/"),
        std::string("A_b/c"),   std::string("a/b/c"),      long_name,
        "a=" + long_name,       std::string("a=ä"),        std::string("x in (-)")}) {
    const auto parsed = LabelSelector::Parse(text);
    EXPECT_FALSE(parsed.ok()) << text;
    EXPECT_FALSE(parsed.status().message().empty());
  }
}

TEST(LabelSelectorTest, IsWrittenAsKubernetesDoes) {
  EXPECT_EQ(LabelSelector::Parse("z, b in (y,x,x) ,!c,d==1,e!=2,f notin (),g>1")->ToString(),
            "b in (x,y),!c,d=1,e!=2,f notin (),g>1,z");
}

TEST(LabelSelectorTest, HasLimits) {
  EXPECT_FALSE(LabelSelector::Parse(std::string(kSelectorBytesMax + 1, ' ')).ok());
  std::string many = "a";
  for (size_t i = 0; i < kSelectorRequirementsMax; ++i) many += ",a";
  EXPECT_FALSE(LabelSelector::Parse(many).ok());
  EXPECT_FALSE(LabelSelector::Parse(Concat("a in (", std::string(5000, ','), ")")).ok());
}

}  // namespace
}  // namespace tepal::custom_metrics
