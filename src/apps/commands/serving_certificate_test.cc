// A certificate from files, left in a folder, or kept in memory.

#include "apps/commands/serving_certificate.h"

#include <gtest/gtest.h>

#include <map>

#include "core/env/executor.h"
#include "network/net/self_signed.h"
#include "sim/world.h"

namespace tepal::commands {
namespace {

class Files final : public env::FileSystem {
 public:
  std::map<std::string, std::string> files;
  Result<std::string> Read(const std::string& path, uint64_t) override {
    const auto found = files.find(path);
    if (found == files.end()) return NotFound(path);
    return found->second;
  }
  Result<Facts> Stat(const std::string& path) override {
    const auto found = files.find(path);
    if (found == files.end()) return NotFound(path);
    return Facts{false, found->second.size(), WallTime{}};
  }
  Result<std::vector<Entry>> List(const std::string& path) override { return NotFound(path); }
  Status Replace(const std::string& path, std::string_view content) override {
    files[path] = content;
    return {};
  }
  Status MakeDirectories(const std::string&) override { return {}; }
  Status Remove(const std::string& path) override { return NotFound(path); }
};

class InlineExecutor final : public env::Executor {
 public:
  void Execute(Function<void()> task) override { task(); }
};

class ServingCertificateTest : public testing::Test {
 protected:
  Result<ServingCertificate> Open(const std::string& certificate, const std::string& key,
                                  const std::string& folder) {
    const CertificateWish wish{certificate, key, folder, {"api.ns.svc"}, {}};
    return OpenServingCertificate(files, world.clock(), watch, wish);
  }
  sim::World world{1};
  InlineExecutor executor;
  Files files;
  CertificateWatch watch{{world.AddLoop(), executor, files}, 1s};
};

TEST_F(ServingCertificateTest, InMemory) {
  const auto made = Open("", "", "");
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  EXPECT_TRUE(made->made);
  EXPECT_NE(made->authority.find("BEGIN CERTIFICATE"), std::string::npos);
  EXPECT_TRUE(files.files.empty());
}

TEST_F(ServingCertificateTest, InAFolderItIsMadeOnce) {
  const auto made = Open("", "", "/d");
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  EXPECT_TRUE(made->made);
  EXPECT_EQ(made->authority, files.files["/d/apiserver.crt"]);
  const auto again = Open("", "", "/d");
  ASSERT_TRUE(again.ok());
  EXPECT_FALSE(again->made);
  EXPECT_EQ(again->authority, made->authority);
}

TEST_F(ServingCertificateTest, FromFilesItIsReadAgain) {
  const auto own = net::MakeSelfSigned({"a"}, {}, world.clock().WallNow()).value();
  files.files = {{"/c", own.certificate.text}, {"/k", own.key.text}};
  const auto made = Open("/c", "/k", "");
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  EXPECT_TRUE(made->authority.empty());
  const auto before = made->tls->Get();
  const auto next = net::MakeSelfSigned({"b"}, {}, world.clock().WallNow()).value();
  files.files = {{"/c", next.certificate.text + "\n"}, {"/k", next.key.text + "\n"}};
  watch.Start();
  world.RunFor(3s);
  EXPECT_NE(made->tls->Get(), before);
  EXPECT_FALSE(Open("/none", "/k", "").ok());
}

}  // namespace
}  // namespace tepal::commands
