#include "core/options/flags.h"

#include <gtest/gtest.h>

#include "core/base/text.h"

namespace tepal::options {
namespace {

struct Bound {
  bool on = false;
  int count = 3;
  uint16_t port = 8000;
  std::string name = "default";
  Duration wait = 5s;
  std::vector<std::string> many;

  FlagSet Flags() {
    FlagSet flags("tepal test [FLAGS] FILE...", "Does things.");
    flags.Group("Things");
    flags.Add("on", &on, "Switch.");
    flags.Add("count", &count, "How many.");
    flags.Add("port", &port, "Port.");
    flags.Add("name", &name, "Name.");
    flags.Add("wait", &wait, "Wait.");
    flags.Add("many", &many, "Values.");
    flags.Refuse("tls", "TLS is not served yet", {"false"}, true);
    flags.Example("tepal test --on a", "switches it on");
    return flags;
  }
};

Result<std::vector<std::string>> Parse(FlagSet& flags, std::vector<std::string_view> words) {
  return flags.Parse(words);
}

TEST(FlagSet, ReadsEveryKindInBothForms) {
  Bound bound;
  FlagSet flags = bound.Flags();
  const auto positional =
      Parse(flags, {"--on", "a", "--count=7", "--port", "0", "--name", "", "--wait=250ms", "--many",
                    "x", "--many=y=z", "--tls=false", "--", "--on"});
  ASSERT_TRUE(positional.ok()) << positional.status().message();
  EXPECT_EQ(*positional, (std::vector<std::string>{"a", "--on"}));
  EXPECT_TRUE(bound.on);
  EXPECT_EQ(bound.count, 7);
  EXPECT_EQ(bound.port, 0);
  EXPECT_EQ(bound.name, "");
  EXPECT_EQ(bound.wait, 250ms);
  EXPECT_EQ(bound.many, (std::vector<std::string>{"x", "y=z"}));
  EXPECT_TRUE(flags.given("port"));
}

TEST(FlagSet, ABooleanTakesAWordOnlyIfItIsOne) {
  Bound bound;
  FlagSet flags = bound.Flags();
  const auto positional = Parse(flags, {"--on", "false", "file"});
  ASSERT_TRUE(positional.ok());
  EXPECT_FALSE(bound.on);
  EXPECT_EQ(*positional, std::vector<std::string>{"file"});
}

TEST(FlagSet, SaysWhatIsWrong) {
  const std::pair<std::vector<std::string_view>, std::string_view> cases[] = {
      {{"--cuont", "3"}, "unknown flag --cuont; did you mean --count? (--help lists them)"},
      {{"--count"}, "flag --count needs a value"},
      {{"--count", "3x"}, "flag --count: got '3x', expected a whole number"},
      {{"--port=70000"}, "flag --port: got '70000', expected a whole number from 0 to 65535"},
      {{"--wait=5"},
       "flag --wait: got '5', expected a duration with its unit, as 250ms, 30s or 5m"},
      {{"--on=maybe"}, "flag --on: got 'maybe', expected true or false"},
      {{"--tls"}, "flag --tls is refused: TLS is not served yet"},
  };
  for (const auto& [words, message] : cases) {
    Bound bound;
    FlagSet flags = bound.Flags();
    const auto positional = Parse(flags, words);
    ASSERT_FALSE(positional.ok()) << message;
    EXPECT_EQ(positional.status().message(), message);
  }
}

TEST(FlagSet, HelpShowsDefaultsAndExamplesButNoRefusedFlag) {
  Bound bound;
  FlagSet flags = bound.Flags();
  ASSERT_TRUE(Parse(flags, {"--help", "--nonsense"}).ok());
  EXPECT_TRUE(flags.help_asked());
  const std::string help = flags.Help();
  EXPECT_NE(help.find("--count <number> (3)"), std::string::npos) << help;
  EXPECT_NE(help.find("tepal test --on a"), std::string::npos);
  EXPECT_EQ(help.find("--tls"), std::string::npos);
}

TEST(FlagSet, ChecksRunAfterAllWordsUnlessHelpIsAsked) {
  Bound bound;
  FlagSet flags = bound.Flags();
  flags.Check([&](const FlagSet& set) -> Status {
    if (bound.count <= 3 || set.given("port")) return {};
    return InvalidArgument(Concat("--count=", bound.count, " needs --port"));
  });
  EXPECT_EQ(Parse(flags, {"--count=7"}).status().message(), "--count=7 needs --port");
  EXPECT_TRUE(Parse(flags, {"--count=7", "--help"}).ok());
  EXPECT_TRUE(Parse(flags, {"--count=7", "--port=1"}).ok());
}

}  // namespace
}  // namespace tepal::options
