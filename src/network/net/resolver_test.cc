#include "network/net/resolver.h"

#include <gtest/gtest.h>

#include "sim/world.h"

namespace tepal::net {
namespace {

TEST(HostPortTest, ReadsWhatPeopleWrite) {
  struct Case {
    std::string_view text;
    std::string_view host;
    uint16_t port;
  };
  for (const Case& one : {Case{"localhost:8000", "localhost", 8000},
                          {"localhost", "localhost", 80},
                          {"http://a.b/c:d?x", "a.b", 80},
                          {"http://a.b:81/v2", "a.b", 81},
                          {"[::1]:90", "::1", 90},
                          {"[::1]", "::1", 80},
                          {"127.0.0.1:1", "127.0.0.1", 1},
                          {"unix:/run/x", "unix:/run/x", 0}}) {
    const auto parsed = HostPort::Parse(one.text, 80);
    ASSERT_TRUE(parsed.ok()) << one.text << ": " << parsed.status().ToString();
    EXPECT_EQ(parsed->host, one.host) << one.text;
    EXPECT_EQ(parsed->port, one.port) << one.text;
  }
}

TEST(HostPortTest, SaysWhatIsWrong) {
  for (const std::string_view text : {"", ":80", "a:b", "a:70000", "::1", "[::1", "[::1]x", "[a]:1",
                                      "https://a", "unix:", "http://"}) {
    const auto parsed = HostPort::Parse(text, 80);
    EXPECT_EQ(parsed.status().code(), StatusCode::kInvalidArgument) << text;
    EXPECT_NE(parsed.status().message().find(std::string(text)), std::string::npos);
  }
}

// Runs tasks when told.
struct LateExecutor final : env::Executor {
  void Execute(Function<void()> task) override { tasks.push_back(std::move(task)); }
  std::vector<Function<void()>> tasks;
};

TEST(ResolverTest, AnswersNumbersAtOnceAndNamesFromTheExecutor) {
  sim::World world(1);
  env::EventLoop& loop = world.AddLoop();
  LateExecutor executor;
  const auto resolver = NewResolver(executor);
  std::optional<Result<std::vector<env::Address>>> got;
  const auto keep = [&](Result<std::vector<env::Address>> found) { got = std::move(found); };
  resolver->Resolve(loop, {"10.1.2.3", 80}, keep);
  EXPECT_FALSE(got);
  world.RunFor(1ms);
  ASSERT_TRUE(got && got->ok());
  EXPECT_EQ((*got)->front().ToString(), "10.1.2.3:80");
  EXPECT_TRUE(executor.tasks.empty());

  got.reset();
  resolver->Resolve(loop, {"localhost", 81}, keep);
  ASSERT_EQ(executor.tasks.size(), 1u);
  executor.tasks[0]();
  EXPECT_FALSE(got);
  world.RunFor(1ms);
  ASSERT_TRUE(got && got->ok()) << got->status().ToString();
  EXPECT_EQ((*got)->front().ToString(), "127.0.0.1:81");
}

}  // namespace
}  // namespace tepal::net
