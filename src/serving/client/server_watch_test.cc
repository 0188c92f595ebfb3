#include "serving/client/server_watch.h"

#include <gtest/gtest.h>

#include <map>

#include "core/base/text.h"

namespace tepal::client {
namespace {

class FakeProc final : public env::FileSystem {
 public:
  Result<std::string> Read(const std::string& path, uint64_t) override {
    const auto found = ticks.find(path);
    if (found == ticks.end()) return NotFound(path);
    return Concat("42 (a ) name) S 1 2 3 4 5 6 7 8 9 10 ", found->second, " 7 0 0 20\n");
  }
  Result<std::vector<Entry>> List(const std::string&) override { return Unimplemented("fake"); }
  Result<Facts> Stat(const std::string&) override { return Unimplemented("fake"); }
  Status Replace(const std::string&, std::string_view) override { return Unimplemented("fake"); }
  Status MakeDirectories(const std::string&) override { return Unimplemented("fake"); }
  Status Remove(const std::string&) override { return Unimplemented("fake"); }

  std::map<std::string, uint64_t> ticks;
};

class FakeServer final : public V2Client {
 public:
  void Server(Duration, Done<ServerDeclaration>) override {}
  void Metadata(const std::string&, Duration, Done<ModelDeclaration>) override {}
  void Limits(const std::string&, Duration, Done<ModelLimits>) override {}
  void Statistics(const std::string&, Duration, Done<ModelStatistics> done) override {
    asked.push_back(std::move(done));
  }
  void Infer(const InferCall&, Duration, Done<InferAnswer>) override {}
  void Register(const SharedRegion&, Duration, Function<void(Status)>) override {}
  void Unregister(const std::string&, Duration, Function<void(Status)>) override {}

  std::vector<Done<ModelStatistics>> asked;
};

TEST(ServerWatch, SharesCostsAmongRequests) {
  FakeProc files;
  FakeServer server;
  files.ticks = {{"/proc/self/stat", 100}, {"/proc/77/stat", 1000}};
  ServerWatch watch(files, {&server, "m", 5s, 77});
  EXPECT_TRUE(watch.Check().ok());
  watch.Read();
  files.ticks = {{"/proc/self/stat", 101}, {"/proc/77/stat", 1004}};
  watch.Read();

  bool complete = false;
  watch.WhenComplete([&] { complete = true; });
  ModelStatistics before, after;
  before.success.count = 10;
  before.execution_count = 1;
  after.success.count = 210;
  after.execution_count = 51;
  after.inference_count = 200;
  after.queue.ns = 200 * 3000;
  server.asked[0](before);
  EXPECT_FALSE(complete);
  server.asked[1](after);
  EXPECT_TRUE(complete);

  const PhaseCost cost = watch.CostOf(0, 200);
  EXPECT_NEAR(cost.client_cpu_us, 50, 1e-6);  // 10 ms of 200 requests.
  EXPECT_NEAR(*cost.server_cpu_us, 200, 1e-6);
  ASSERT_TRUE(cost.work.has_value());
  EXPECT_DOUBLE_EQ(cost.work->rows_per_execution, 4);
  EXPECT_DOUBLE_EQ(cost.work->queue_us, 3);
}

TEST(ServerWatch, SaysNothingItDoesNotKnow) {
  FakeProc files;
  FakeServer server;
  files.ticks = {{"/proc/self/stat", 100}};
  ServerWatch missing(files, {nullptr, "m", 5s, 77});
  EXPECT_NE(missing.Check().message().find("process 77"), std::string::npos);

  ServerWatch watch(files, {&server, "m", 5s, 0});
  watch.Read();
  watch.Read();
  server.asked[0](NotFound("no statistics"));
  server.asked[1](ModelStatistics());
  const PhaseCost cost = watch.CostOf(0, 10);
  EXPECT_FALSE(cost.server_cpu_us.has_value());
  EXPECT_FALSE(cost.work.has_value());
  EXPECT_EQ(watch.CostOf(1, 10).client_cpu_us, 0);
}

}  // namespace
}  // namespace tepal::client
