// Requests about all replicas, in the simulated world.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "balancing/load_balancer/gather.h"
#include "balancing/load_balancer/gather_wish.h"
#include "balancing/load_balancer/testing/model_scene.h"

namespace tepal::lb {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr char kRose[] = "\x0a\x04rose";  // A ModelStatisticsRequest.

http::Headers With(const std::string& name, const std::string& value) {
  http::Headers headers;
  headers.Add(name, value);
  return headers;
}

class Lines final : public LineSink {
 public:
  bool Write(std::string line) override {
    lines.push_back(std::move(line));
    return true;
  }
  std::string Last() const { return lines.empty() ? "none" : lines.back(); }
  std::vector<std::string> lines;
};

TEST(BalancerGatherSimTest, StatisticsAreThoseOfAllReplicas) {
  ModelScene scene({{"rose"}, {"rose"}, {"rose"}});
  scene.Infer("rose", 30);
  const Answer sum = scene.Ask("/v2/models/stats", "", {}, "GET");
  EXPECT_EQ(sum.status, 200);
  EXPECT_EQ(sum.text, R"({"model_stats":[{"name":"rose","version":"1","inference_count":30}]})");
  EXPECT_EQ(sum.headers.Get("tepal-replicas"), "3 of 3");
  EXPECT_FALSE(sum.headers.Has("tepal-missing"));

  scene.books[1].ready.clear();
  const Answer index = scene.Ask("/v2/repository/index", "{}");
  EXPECT_EQ(index.text, R"([{"name":"rose","version":"1","state":"UNAVAILABLE",)"
                        R"("reason":"READY on 2 of 3 replicas"}])");

  scene.books[1].frozen = true;
  const Answer part = scene.Ask("/v2/models/stats", "", {}, "GET");
  EXPECT_EQ(part.status, 200);
  if (part.headers.Get("tepal-replicas") != "2 of 2") {  // Unless its checks have failed by then.
    EXPECT_EQ(part.headers.Get("tepal-replicas"), "2 of 3");
    EXPECT_TRUE(part.headers.Get("tepal-missing")->starts_with("10.0.0.1:2 ("));
  }
  const Answer each = scene.Ask("/v2/models/stats?per_replica=true", "", {}, "GET");
  EXPECT_NE(each.text.find(R"({"endpoint":"10.0.0.1:1","name":"10.0.0.1:1","status":200,)"
                           R"("answer":{"model_stats":[)"),
            std::string::npos)
      << each.text;
  scene.books[1].frozen = false;
  scene.world.RunFor(3s);
  std::string model, expected;
  AppendBytesField(model, 1, "rose");
  AppendVarintField(model, 4, 30);
  AppendBytesField(expected, 1, model);
  const auto [end, message] = scene.Call(kStatistics, "");
  EXPECT_TRUE(end.status.ok()) << end.status.message();
  EXPECT_EQ(message, expected);
  EXPECT_EQ(end.trailers.Get("tepal-replicas"), "3 of 3");
  // An error of all of them is passed on.
  scene.books[1].frozen = false;
  scene.world.RunFor(3s);
  EXPECT_EQ(scene.Ask("/v2/models/nettle/stats", "", {}, "GET").status, 404);
  EXPECT_EQ(scene.balancer->Read().active, 0u);
}

// Of a ModelStatisticsResponse, as the servers here say it.
std::string Entry(uint64_t count) {
  std::string model, entry;
  AppendBytesField(model, 1, "rose");
  AppendVarintField(model, 4, count);
  AppendBytesField(entry, 1, model);
  return entry;
}

TEST(BalancerGatherSimTest, OverGrpcEachReplicasEntriesComeOneAfterTheOther) {
  ModelScene scene({{"rose"}, {"rose"}, {"rose"}});
  for (int i = 0; i < 3; ++i) scene.books[static_cast<size_t>(i)].infers = 10 + i;
  const http::Headers each = With("tepal-per-replica", "true");
  const auto [end, message] = scene.Call(kStatistics, kRose, each);
  EXPECT_TRUE(end.status.ok()) << end.status.message();
  EXPECT_EQ(message, Entry(10) + Entry(11) + Entry(12));
  EXPECT_EQ(end.trailers.Get("tepal-entries"), "10.0.0.1:1=1, 10.0.0.1:2=1, 10.0.0.1:3=1");
  EXPECT_EQ(end.trailers.Get("tepal-replicas"), "3 of 3");

  scene.books[1].frozen = true;
  scene.books[2].refuses = true;
  const auto [part, fewer] = scene.Call(kStatistics, kRose, each);
  EXPECT_TRUE(part.status.ok()) << part.status.message();
  EXPECT_EQ(fewer, Entry(10));
  EXPECT_EQ(part.trailers.Get("tepal-entries"), "10.0.0.1:1=1, 10.0.0.1:3=0");
  EXPECT_EQ(part.trailers.Get("tepal-missing"), "10.0.0.1:2");
}

TEST(BalancerGatherSimTest, OneReplicaCanBeNamed) {
  ModelScene scene({{"rose"}, {"rose"}});
  scene.books[0].infers = 10;
  scene.books[1].infers = 11;
  const http::Headers one = With("tepal-endpoint", "10.0.0.1:2");
  const auto [end, message] = scene.Call(kStatistics, kRose, one);
  EXPECT_EQ(message, Entry(11));
  EXPECT_EQ(end.trailers.Get("tepal-replicas"), "1 of 1");
  EXPECT_FALSE(end.trailers.Has("tepal-entries"));
  const Answer http = scene.Ask("/v2/models/stats", "", one, "GET");
  EXPECT_EQ(http.text, R"({"model_stats":[{"name":"rose","version":"1","inference_count":11}]})");
  const http::Headers none = With("tepal-endpoint", "10.0.0.1:3");
  EXPECT_EQ(scene.Call(kStatistics, kRose, none).first.status.code(), StatusCode::kNotFound);
  const Answer missing = scene.Ask("/v2/models/stats", "", none, "GET");
  EXPECT_EQ(missing.status, 404);
  EXPECT_EQ(missing.text, R"({"error":"no endpoint '10.0.0.1:3' is up"})");
  EXPECT_EQ(scene.balancer->Read().failed, 0u);
}

TEST(GatherWishTest, ReadsFieldsAndTheQuery) {
  http::RequestHead head;
  head.target = "/v2/models/stats";
  EXPECT_FALSE(ReadWish(head).per_replica);
  EndpointSpec spec;
  spec.address = {env::Address::Family::kIp4, "10.0.0.1", 8000};
  spec.grpc_address = {env::Address::Family::kIp4, "10.0.0.1", 8001};
  spec.name = "left";
  EXPECT_TRUE(ReadWish(head).Wants(spec));
  head.target = "/v2/models/stats?per_replica=true";
  EXPECT_TRUE(ReadWish(head).per_replica);
  for (const char* name : {"left", "10.0.0.1:8000", "10.0.0.1:8001"}) {
    head.headers.Set("tepal-endpoint", name);
    EXPECT_TRUE(ReadWish(head).Wants(spec)) << name;
  }
  head.headers.Set("tepal-endpoint", "lef");
  EXPECT_FALSE(ReadWish(head).Wants(spec));
}

class GatherLogSimTest : public ::testing::Test {
 protected:
  static Balancer::Options Options(const std::shared_ptr<Lines>& log) {
    Balancer::Options options;
    options.proxy.access_log = log;
    options.proxy.upstream = "pool";
    return options;
  }
  // The one line more that there is now.
  std::string Line() {
    scene.world.RunFor(10ms);
    EXPECT_EQ(log->lines.size(), ++lines) << log->Last();
    return log->Last();
  }
  std::shared_ptr<Lines> log = std::make_shared<Lines>();
  ModelScene scene{{{"rose"}, {"rose"}}, Options(log)};
  size_t lines = 0;
};

TEST_F(GatherLogSimTest, ARequestIsOneLine) {
  (void)scene.Ask("/v2/models/stats?key=hidden", "", With("x-request-id", "mine"), "GET");
  std::string line = Line();
  EXPECT_THAT(line, HasSubstr(R"("request_id":"mine","client":)"));
  EXPECT_THAT(line, HasSubstr(R"("method":"GET","path":"/v2/models/stats","protocol":"HTTP/1.1",)"
                              R"("upstream":"pool","status":200,"tries":[{"endpoint":"10.0.0.1:)"));
  EXPECT_THAT(line, AllOf(HasSubstr(R"({"endpoint":"10.0.0.1:1","time_us":)"),
                          HasSubstr(R"({"endpoint":"10.0.0.1:2","time_us":)")));
  EXPECT_THAT(line, Not(HasSubstr("hidden")));

  const auto [end, message] = scene.Call(kStatistics, kRose);
  line = Line();
  const std::string id(end.trailers.Get("x-request-id").value_or("none"));
  EXPECT_THAT(line, HasSubstr(Concat(R"("request_id":")", id, "\",")));
  EXPECT_THAT(line, HasSubstr(Concat(R"("path":")", kStatistics,
                                     R"(","protocol":"HTTP/2","model":"rose",)")));
  EXPECT_THAT(line, AllOf(HasSubstr(R"({"endpoint":"10.0.0.1:1","time_us":)"),
                          HasSubstr(R"({"endpoint":"10.0.0.1:2","time_us":)")));
  EXPECT_THAT(line, HasSubstr(Concat(R"("bytes_received":6,"bytes_sent":)", message.size(), "}")));
  // The endpoints have the same id.
  for (const ServerBook& book : scene.books) EXPECT_EQ(book.request_ids.back(), id);
}

TEST_F(GatherLogSimTest, SoIsOneThatFails) {
  (void)scene.Ask("/v2/models/nettle/stats", "", {}, "GET");
  std::string line = Line();
  EXPECT_THAT(line, HasSubstr(R"("model":"nettle","upstream":"pool","status":404,"tries":[{)"));
  (void)scene.Ask("/v2/repository/index", std::string(kGatherBodyBytesMax + 1, ' '));
  EXPECT_THAT(Line(), HasSubstr(R"("status":413,"error":"its body was refused","tries":[])"));

  scene.books[1].frozen = true;
  const auto gone = scene.Start(kStatistics, kRose);
  scene.world.RunFor(100ms);
  scene.client_loop->Post([&] { scene.exchange.reset(); });
  line = Line();
  EXPECT_THAT(line, HasSubstr(R"("status":499,"tries":[{"endpoint":"10.0.0.1:1",)"));
  EXPECT_FALSE(gone->over);
  for (const EndpointId id : scene.endpoints) EXPECT_TRUE(scene.balancer->SetDown(id, true).ok());
  (void)scene.Call(kStatistics, kRose);
  EXPECT_THAT(Line(), HasSubstr(R"("status":503,"error":"no endpoint is available","tries":[])"));
  (void)scene.Ask("/v2/models/stats", "", {}, "GET");
  EXPECT_THAT(Line(), HasSubstr(R"("status":503,"error":"no endpoint is available","tries":[])"));
  scene.world.RunFor(10s);
  EXPECT_EQ(log->lines.size(), lines);
  EXPECT_EQ(scene.balancer->Read().active, 0u);
}

TEST_F(GatherLogSimTest, WhoDoesNotAnswerInTimeIsATryToo) {
  scene.books[1].frozen = true;
  (void)scene.Call(kStatistics, kRose);
  const std::string line = Line();
  EXPECT_THAT(line, HasSubstr(R"("status":200,)"));
  EXPECT_THAT(line, HasSubstr(R"({"endpoint":"10.0.0.1:2","time_us":5000)"));
}

}  // namespace
}  // namespace tepal::lb
