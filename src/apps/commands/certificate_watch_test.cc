#include "apps/commands/certificate_watch.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>

#include "network/net/tls_test_support.h"
#include "sim/world.h"

namespace tepal::commands {
namespace {

class FakeFiles final : public env::FileSystem {
 public:
  Result<std::string> Read(const std::string&, uint64_t) override { return Unimplemented("fake"); }
  Result<std::vector<Entry>> List(const std::string&) override { return Unimplemented("fake"); }
  Result<Facts> Stat(const std::string& path) override {
    ++looks;
    const auto found = facts.find(path);
    if (found == facts.end()) return NotFound(path);
    return found->second;
  }
  Status Replace(const std::string&, std::string_view) override { return Unimplemented("fake"); }
  Status MakeDirectories(const std::string&) override { return Unimplemented("fake"); }
  Status Remove(const std::string&) override { return Unimplemented("fake"); }

  void Touch(const std::string& path) {
    facts[path].modified += 1s;
    facts[path].size = 1000;
  }
  std::map<std::string, Facts> facts;
  int looks = 0;
};

// Runs what it was given when told to: a slow disk.
class SlowExecutor final : public env::Executor {
 public:
  void Execute(Function<void()> task) override {
    if (slow) return tasks.push_back(std::move(task));
    task();
  }
  void RunAll() {
    for (; !tasks.empty(); tasks.pop_front()) tasks.front()();
  }
  bool slow = false;
  std::deque<Function<void()>> tasks;
};

class CertificateWatchTest : public testing::Test {
 protected:
  CertificateWatchTest() {
    files.Touch("cert");
    files.Touch("key");
  }

  void Open(Duration interval) {
    watch = std::make_unique<CertificateWatch>(CertificateWatch::World{loop, executor, files},
                                               interval);
    auto opened = watch->Add("the door", {"cert", "key"}, [this] {
      return net::TlsSource::New([this]() -> Result<std::shared_ptr<const net::TlsContext>> {
        ++loads;
        if (!problem.ok()) return problem;
        return net::TlsContext::NewServer(
            {.certificate_chain = issued.certificate, .key = issued.key, .client_ca = {}}, {});
      });
    });
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    source = *opened;
    first = source->Get();
    watch->Start();
  }

  sim::World world{1};
  env::EventLoop& loop = world.AddLoop();
  SlowExecutor executor;
  FakeFiles files;
  net::TestAuthority authority{"ca"};
  net::TestAuthority::Issued issued = authority.Issue("DNS:localhost");
  Status problem;
  int loads = 0;
  std::shared_ptr<net::TlsSource> source;
  std::shared_ptr<const net::TlsContext> first;
  std::unique_ptr<CertificateWatch> watch;
};

TEST_F(CertificateWatchTest, LoadsAgainWhatHasChangedAndNothingElse) {
  Open(10s);
  world.RunFor(35s);
  EXPECT_EQ(loads, 1);
  EXPECT_EQ(files.looks, 2 * (1 + 3));  // At first, and three times.
  files.Touch("key");
  world.RunFor(10s);
  EXPECT_EQ(loads, 2);
  EXPECT_NE(source->Get(), first);
  world.RunFor(30s);
  EXPECT_EQ(loads, 2);
}

TEST_F(CertificateWatchTest, KeepsTheOldOneUntilTheNewOneCanBeLoaded) {
  Open(10s);
  problem = InvalidArgument("the key does not fit");
  files.Touch("cert");
  world.RunFor(25s);
  EXPECT_EQ(loads, 3);  // It goes on trying: what is wrong need not show in a file's time.
  EXPECT_EQ(source->Get(), first);
  problem = {};
  world.RunFor(10s);
  EXPECT_EQ(loads, 4);
  EXPECT_NE(source->Get(), first);
  world.RunFor(30s);
  EXPECT_EQ(loads, 4);
}

TEST_F(CertificateWatchTest, AFileThatHasGoneIsAChange) {
  Open(10s);
  files.facts.erase("cert");
  problem = NotFound("cert");
  world.RunFor(10s);
  EXPECT_EQ(loads, 2);
  EXPECT_EQ(source->Get(), first);
}

TEST_F(CertificateWatchTest, AnIntervalOfZeroLooksOnlyWhenTold) {
  Open(0s);
  files.Touch("cert");
  world.RunFor(1000s);
  EXPECT_EQ(loads, 1);
  watch->ReloadNow();
  world.RunFor(1s);
  EXPECT_EQ(loads, 2);
  watch->ReloadNow();  // Though nothing has changed.
  world.RunFor(1s);
  EXPECT_EQ(loads, 3);
}

TEST_F(CertificateWatchTest, WhatIsAskedWhileLookingIsDoneAfterwards) {
  Open(10s);
  executor.slow = true;
  watch->ReloadNow();
  watch->ReloadNow();
  watch->ReloadNow();
  EXPECT_EQ(executor.tasks.size(), 1u);
  executor.RunAll();
  world.RunFor(1s);
  EXPECT_EQ(loads, 2);
  EXPECT_EQ(executor.tasks.size(), 1u);
  executor.RunAll();
  world.RunFor(1s);
  EXPECT_EQ(loads, 3);
  EXPECT_TRUE(executor.tasks.empty());
}

TEST_F(CertificateWatchTest, MayEndWhileLooking) {
  Open(10s);
  executor.slow = true;
  world.RunFor(15s);
  EXPECT_EQ(executor.tasks.size(), 1u);
  watch.reset();
  executor.RunAll();
  world.RunFor(100s);
  EXPECT_TRUE(executor.tasks.empty());
}

TEST_F(CertificateWatchTest, WhatCannotBeLoadedAtFirstIsAnError) {
  CertificateWatch broken({loop, executor, files}, 10s);
  const auto opened = broken.Add("the door", {"cert"}, []() {
    return Result<std::shared_ptr<net::TlsSource>>(NotFound("no such file"));
  });
  EXPECT_EQ(opened.status().message(), "no such file");
  EXPECT_TRUE(broken.empty());
}

}  // namespace
}  // namespace tepal::commands
