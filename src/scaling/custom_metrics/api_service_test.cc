// Whose an APIService is, and what is done about it.

#include "scaling/custom_metrics/api_service.h"

#include <gtest/gtest.h>

#include <optional>

#include "core/base/base64.h"
#include "core/base/text.h"
#include "network/kube/api.h"
#include "network/net/http_server.h"
#include "scaling/custom_metrics/api_service_keeper.h"
#include "scaling/custom_metrics/testing/fake_kube.h"
#include "sim/world.h"

namespace tepal::custom_metrics {
namespace {

using Kind = ApiServiceStep::Kind;

std::string Certificate(std::string_view text) {
  return Concat("-----BEGIN CERTIFICATE-----\n", text, "\n-----END CERTIFICATE-----\n");
}

ApiServiceWish Wish() {
  ApiServiceWish wish;
  wish.group = "custom.metrics.k8s.io";
  wish.version = "v1beta2";
  wish.name_space = "tepal";
  wish.service = "metrics-api";
  wish.ca = Certificate("OURS");
  return wish;
}

std::string Object(std::string_view name_space, std::string_view service, std::string_view bundle) {
  return Concat(R"({"metadata":{"name":"v1beta2.custom.metrics.k8s.io","resourceVersion":"7"},)",
                R"("spec":{"service":{"namespace":")", name_space, R"(","name":")", service,
                R"("},"caBundle":")", EncodeBase64(bundle), R"("}})");
}

ApiServiceStep DecideOn(const std::string& object, const ApiServiceWish& wish) {
  const json::Value present = json::Parse(object).value();
  return Decide(&present, wish);
}

std::string BundleOf(const ApiServiceStep& step) {
  const json::Value patch = json::Parse(step.object).value();
  return DecodeBase64(kube::TextAt(patch, "spec", "caBundle")).value();
}

TEST(ApiServiceTest, AMissingOneIsMadeOnlyWhenTold) {
  ApiServiceWish wish = Wish();
  EXPECT_EQ(Decide(nullptr, wish).kind, Kind::kMissing);
  wish.register_missing = true;
  const ApiServiceStep step = Decide(nullptr, wish);
  EXPECT_EQ(step.kind, Kind::kCreate);
  EXPECT_EQ(
      step.object,
      Concat(R"({"apiVersion":"apiregistration.k8s.io/v1","kind":"APIService","metadata":)",
             R"({"name":"v1beta2.custom.metrics.k8s.io"},"spec":{"service":{"name":)",
             R"("metrics-api","namespace":"tepal","port":443},"group":)",
             R"("custom.metrics.k8s.io","version":"v1beta2","groupPriorityMinimum":100,)",
             R"("versionPriority":200,"caBundle":")", EncodeBase64(Certificate("OURS")), R"("}})"));
}

TEST(ApiServiceTest, SomebodyElsesIsLeftAlone) {
  const std::string theirs = Object("monitoring", "prometheus-adapter", Certificate("THEIRS"));
  const ApiServiceStep step = DecideOn(theirs, Wish());
  EXPECT_EQ(step.kind, Kind::kRefused);
  EXPECT_NE(step.says.find("belongs to Service monitoring/prometheus-adapter"), std::string::npos);
  EXPECT_EQ(DecideOn(R"({"metadata":{},"spec":{}})", Wish()).kind, Kind::kRefused);

  ApiServiceWish wish = Wish();
  wish.take_over = true;
  const ApiServiceStep taken = DecideOn(theirs, wish);
  EXPECT_EQ(taken.kind, Kind::kPatch);
  EXPECT_NE(taken.object.find(R"("service":{"name":"metrics-api","namespace":"tepal")"),
            std::string::npos);
  EXPECT_NE(taken.object.find(R"("resourceVersion":"7")"), std::string::npos);
  EXPECT_EQ(BundleOf(taken), Certificate("OURS"));
}

TEST(ApiServiceTest, OursGetsOurAuthorityBesideTheOthers) {
  const auto mine = [](std::string_view bundle) { return Object("tepal", "metrics-api", bundle); };
  EXPECT_EQ(DecideOn(mine(Certificate("OURS")), Wish()).kind, Kind::kNone);
  const ApiServiceStep step = DecideOn(mine(Certificate("REPLICA")), Wish());
  EXPECT_EQ(step.kind, Kind::kPatch);
  EXPECT_EQ(BundleOf(step), Certificate("REPLICA") + Certificate("OURS"));
  EXPECT_EQ(step.object.find("\"service\""), std::string::npos);
  EXPECT_EQ(BundleOf(DecideOn(mine(""), Wish())), Certificate("OURS"));
  // Somebody else keeps the bundle.
  ApiServiceWish wish = Wish();
  wish.ca.clear();
  EXPECT_EQ(DecideOn(mine(Certificate("X")), wish).kind, Kind::kNone);
}

TEST(ApiServiceTest, ABundleIsBounded) {
  std::string bundle;
  for (int i = 0; i < 20; ++i) bundle = MergeBundles(bundle, Certificate(Concat("C", i)));
  EXPECT_EQ(bundle.find("C11\n"), std::string::npos);
  EXPECT_NE(bundle.find("C12\n"), std::string::npos);
  EXPECT_EQ(MergeBundles(bundle, Certificate("C19")), bundle);
  EXPECT_EQ(MergeBundles("rubbish", Certificate("A")), Certificate("A"));
}

class ApiServiceKeeperTest : public ::testing::Test {
 protected:
  ApiServiceKeeperTest() : loop(world.AddLoop()) {
    server.emplace(std::vector<env::EventLoop*>{&loop}, net::HttpServer::Options{},
                   [this](env::EventLoop&) {
                     auto made = std::make_unique<testing::FakeKube>();
                     kube = made.get();
                     return made;
                   });
    EXPECT_TRUE(server->Listen(address).ok());
    kube::ClusterAccess access;
    access.host = "kube.test";
    access.port = address.port;
    access.tls = false;
    client = kube::Client::New(loop, {files, world.clock(), resolver}, access, {}).value();
  }
  void Start(ApiServiceWish wish) {
    keeper.emplace(loop, *client, std::vector<ApiServiceWish>{std::move(wish)},
                   ApiServiceKeeper::Options{});
    keeper->Start([this](const std::string& why) { refused.push_back(why); });
  }

  const std::string path =
      "/apis/apiregistration.k8s.io/v1/apiservices/v1beta2.custom.metrics.k8s.io";
  const env::Address address{env::Address::Family::kIp4, "10.0.0.1", 6443};
  sim::World world{1};
  env::EventLoop& loop;
  testing::NoFiles files;
  testing::OneAddress resolver{address};
  testing::FakeKube* kube = nullptr;
  std::optional<net::HttpServer> server;
  std::unique_ptr<kube::Client> client;
  std::optional<ApiServiceKeeper> keeper;
  std::vector<std::string> refused;
};

TEST_F(ApiServiceKeeperTest, RefusesOnceAndTouchesNothing) {
  kube->documents[path] = Object("monitoring", "prometheus-adapter", "");
  Start(Wish());
  world.RunFor(300s);
  EXPECT_EQ(refused.size(), 1u);
  EXPECT_EQ(kube->Count("PATCH", "/"), 0u);
  EXPECT_EQ(kube->Count("POST", "/"), 0u);
  EXPECT_GE(kube->Count("GET", path), 5u);
}

TEST_F(ApiServiceKeeperTest, KeepsTheBundleWhateverHappens) {
  kube->down = true;
  Start(Wish());
  world.RunFor(20s);
  kube->down = false;
  kube->documents[path] = Object("tepal", "metrics-api", Certificate("REPLICA"));
  world.RunUntil([&] { return kube->Count("PATCH", path) == 1; }, 60s);
  EXPECT_EQ(kube->Count("PATCH", path), 1u);
  kube->documents[path] = Object("tepal", "metrics-api", Certificate("OURS"));
  world.RunFor(120s);
  EXPECT_EQ(kube->Count("PATCH", path), 1u);
  loop.Post([&] { keeper->SetCa(Certificate("NEXT")); });
  world.RunFor(1s);
  EXPECT_EQ(kube->Count("PATCH", path), 2u);
  EXPECT_TRUE(refused.empty());
}

}  // namespace
}  // namespace tepal::custom_metrics
