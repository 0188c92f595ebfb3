// Pods come and go, restart, fall silent and talk nonsense under a source that asks them each
// second.

#include "scaling/custom_metrics/scrape_source.h"

#include <gtest/gtest.h>

#include <set>

#include "core/base/text.h"
#include "scaling/custom_metrics/testing/fake_http.h"
#include "sim/world.h"

namespace tepal::custom_metrics {
namespace {

using testing::FakeAnswer;

const GroupResource kPods{"", "pods"};

env::Address AddressOf(size_t pod) {
  return {env::Address::Family::kIp4, Concat("10.1.", pod / 250, ".", 1 + pod % 250), 8002};
}

enum class Mood { kFine, kSilent, kGarbage, kLoading, kFails };

// One pod: ten requests a second, each waiting `queue_us`.
struct FakePod {
  bool there = false;
  bool ready = true;
  Mood mood = Mood::kFine;
  int uid = 0;
  double queue_us = 0;
  Instant started{};
  Instant page{};  // When its last good page was given.

  std::string Page(Instant now) const {
    const double n = ToSeconds(now - started) * 10;
    std::string text = "# TYPE nv_inference_request_success counter\n";
    const auto add = [&](std::string_view name, double value, std::string_view more = "") {
      text += Concat(name, "{model=\"m\",version=\"1\"", more, "} ", value, "\n");
    };
    add("nv_inference_request_success", n);
    add("nv_inference_exec_count", n);
    add("nv_inference_queue_duration_us", n * queue_us);
    add("nv_inference_compute_infer_duration_us", n * 50'000);
    add("nv_inference_pending_request_count", 0);
    add("tepal_inference_in_flight", 3);
    add("tepal_instance_busy_us", n * 50'000, ",instance=\"m_0\"");
    return text;
  }
};

struct Scenario {
  explicit Scenario(uint64_t seed, size_t count, sim::NetworkOptions network = {})
      : world(seed, network), loop(world.AddLoop()), pods(count) {
    answers = [this](const http::RequestHead& head, const std::string&) { return Answer(head); };
    server = testing::NewFakeServer(loop, answers);
    for (size_t i = 0; i < count; ++i) {
      EXPECT_TRUE(server->Listen(AddressOf(i)).ok());
      by_address[AddressOf(i).ToString()] = &pods[i];
      pods[i].queue_us = 100.0 * static_cast<double>(i + 1);
    }
    ScrapeSource::Options options;
    source = std::make_unique<ScrapeSource>(loop, options);
  }

  FakeAnswer Answer(const http::RequestHead& head) {
    FakePod& pod = *by_address.at(head.authority);
    ++requests;
    switch (pod.mood) {
      case Mood::kFine:
        pod.page = world.now();
        return {200, pod.Page(world.now())};
      case Mood::kSilent:
        return {200, "", {}, true};
      case Mood::kGarbage:
        return {200, "nv_inference_request_success{model=\"m\" 1\n"};
      case Mood::kLoading:
        return {200, "nv_cpu_utilization 0.1\n"};
      case Mood::kFails:
        return {503, "no"};
    }
    return {500, ""};
  }

  static std::string NameOf(size_t i) { return Concat("flower-6f-", i); }

  void Tell(size_t i, kube::Change::Kind kind = kube::Change::Kind::kSet) {
    const FakePod& pod = pods[i];
    const std::string text = Concat(
        R"({"metadata":{"name":")", NameOf(i), R"(","namespace":"ns","uid":"u)", i, "-", pod.uid,
        R"(","labels":{"app":"flower","pod-template-hash":"6f"},"ownerReferences":[{"apiVersion":)"
        R"("apps/v1","kind":"ReplicaSet","name":"flower-6f"}]},"status":{"phase":"Running","podIP":")",
        AddressOf(i).host, R"(","conditions":[{"type":"Ready","status":")",
        pod.ready ? "True" : "False", R"("}]}})");
    source->OnPod({kind, Concat("ns/", NameOf(i)),
                   std::make_shared<const json::Value>(json::Parse(text).value())});
  }
  void Add(size_t i) {
    pods[i].there = true;
    ++pods[i].uid;
    pods[i].started = world.now();
    pods[i].mood = Mood::kFine;
    Tell(i);
  }
  void Remove(size_t i) {
    pods[i].there = false;
    Tell(i, kube::Change::Kind::kDeleted);
  }

  std::vector<ObjectValue> Get(const std::string& metric, GroupResource resource = kPods,
                               std::vector<std::string> names = {}) {
    if (names.empty()) {
      for (size_t i = 0; i < pods.size(); ++i) names.push_back(NameOf(i));
    }
    std::optional<Result<std::vector<ObjectValue>>> got;
    loop.Post([&] {  // In a turn, so that the loop knows what time it is.
      source->GetValues({{resource, true, metric}, "ns", names, ""},
                        [&](Result<std::vector<ObjectValue>> values) { got = std::move(values); });
    });
    world.RunUntil([&] { return got.has_value(); }, 1s);
    EXPECT_TRUE(got.has_value() && got->ok());
    return got->value();
  }
  double One(const std::string& metric, GroupResource resource, const std::string& name) {
    const auto values = Get(metric, std::move(resource), {name});
    return values.size() == 1 ? values[0].value : -1;
  }

  sim::World world;
  env::EventLoop& loop;
  std::vector<FakePod> pods;
  std::map<std::string, FakePod*> by_address;
  testing::FakeAnswers answers;
  std::unique_ptr<net::HttpServer> server;
  std::unique_ptr<ScrapeSource> source;
  int requests = 0;
};

TEST(ScrapeSource, GivesValuesForPodsOwnersAndNamespaces) {
  Scenario s(1, 3);
  for (size_t i = 0; i < 3; ++i) s.Add(i);
  s.world.RunFor(40s);
  const auto values = s.Get("avg_time_queue_us");
  ASSERT_EQ(values.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(values[i].value, s.pods[i].queue_us, 1);
    EXPECT_EQ(values[i].window, 30s);
  }
  EXPECT_NEAR(s.One("avg_time_queue_us", {"apps", "deployments"}, "flower"), 200, 1);
  EXPECT_NEAR(s.One("inference_in_flight", {"apps", "replicasets"}, "flower-6f"), 9, 1e-6);
  EXPECT_NEAR(s.One("inference_in_flight", {"", "namespaces"}, "ns"), 9, 1e-6);
  // 30 a second, each 50 ms of one instance.
  const double required = 30 * 0.05 / 0.8;
  EXPECT_NEAR(s.One("inference_required_replicas", {"apps", "deployments"}, "flower"), required,
              0.01);
  std::optional<Result<std::vector<ExternalValue>>> external;
  s.source->GetExternalValues({"inference_required_replicas", "ns", "app=flower"},
                              [&](auto got) { external = std::move(got); });
  ASSERT_TRUE(external.has_value() && external->ok());
  EXPECT_NEAR((*external)->at(0).value, required, 0.01);
  s.source->GetExternalValues({"inference_required_replicas", "ns", "app=other"},
                              [&](auto got) { external = std::move(got); });
  EXPECT_TRUE((*external)->empty());
}

TEST(ScrapeSource, KnowsItsMetrics) {
  Scenario s(2, 1);
  const auto metrics = s.source->ObjectMetrics();
  EXPECT_TRUE(std::is_sorted(metrics.begin(), metrics.end()));
  EXPECT_EQ(metrics.size(), 3 + 4 * 4u);
  EXPECT_EQ(s.source->ExternalMetrics().size(), 4u);
  StatusCode code = StatusCode::kOk;
  s.source->GetValues({{kPods, true, "inference_required_replicas"}, "ns", {"a"}, ""},
                      [&](auto got) { code = got.status().code(); });
  EXPECT_EQ(code, StatusCode::kNotFound);
  EXPECT_TRUE(s.source->Health().ok());  // There are no pods, and that is known.
  s.pods[0].mood = Mood::kFails;
  s.Add(0);
  s.pods[0].mood = Mood::kFails;
  s.world.RunFor(5s);
  EXPECT_EQ(s.source->Health().code(), StatusCode::kUnavailable);
  EXPECT_NE(s.source->Health().message().find("HTTP 503"), std::string::npos);
}

TEST(ScrapeSource, APodIsAskedOnceASecondAndAtOnceWhenItComes) {
  Scenario s(3, 1);
  s.Add(0);
  s.world.RunFor(100ms);
  EXPECT_EQ(s.requests, 1);
  s.world.RunFor(60s);
  EXPECT_EQ(s.requests, 61);
  s.Remove(0);
  s.world.RunFor(10s);
  EXPECT_EQ(s.requests, 61);
}

TEST(ScrapeSource, AThousandPodsAreAskedInTime) {
  Scenario s(4, 1000);
  for (size_t i = 0; i < 1000; ++i) s.Add(i);
  s.world.RunFor(5s);
  EXPECT_GE(s.requests, 4000);
  EXPECT_LE(s.requests, 6000);
  EXPECT_EQ(s.Get("avg_time_queue_us").size(), 1000u);
  EXPECT_NEAR(s.One("inference_in_flight", {"apps", "deployments"}, "flower"), 3000, 1e-6);
}

// The API server of one namespace: a list of its pods, and a watch on which nothing comes.
TEST(ScrapeSource, FindsPodsThroughTheApiServer) {
  Scenario s(5, 2);
  const env::Address address{env::Address::Family::kIp4, "10.0.0.1", 6443};
  std::vector<std::string> asked;
  bool works = false;
  testing::FakeAnswers api = [&](const http::RequestHead& head, const std::string&) -> FakeAnswer {
    if (head.target.find("watch=true") != std::string::npos) return {200, "", {}, true};
    asked.push_back(head.target);
    if (!works) return {503, "not now"};
    const bool balancers = head.target.find("tier%3Dlb") != std::string::npos;
    const std::string pod = Concat(
        R"({"metadata":{"name":"flower-6f-0","namespace":"ns","uid":"u"},"status":{"podIP":")",
        AddressOf(0).host, R"(","conditions":[{"type":"Ready","status":"True"}]}})");
    return {200,
            Concat(R"({"metadata":{"resourceVersion":"7"},"items":[)", balancers ? "" : pod, "]}")};
  };
  const auto server = testing::NewFakeServer(s.loop, api);
  ASSERT_TRUE(server->Listen(address).ok());
  testing::NoFiles files;
  testing::OneAddress resolver(address);
  kube::ClusterAccess access;
  access.host = "api.test";
  access.port = 6443;
  access.tls = false;
  const auto client =
      kube::Client::New(s.loop, {files, s.world.clock(), resolver}, access, {}).value();
  s.source->Watch(*client, s.world.random(), {{"ns"}, "app=flower", {}, "tier=lb"});
  s.world.RunFor(5s);
  EXPECT_EQ(s.source->Health().code(), StatusCode::kUnavailable);
  StatusCode code = StatusCode::kOk;
  s.source->GetValues({{kPods, true, "inference_in_flight"}, "ns", {"flower-6f-0"}, ""},
                      [&](auto got) { code = got.status().code(); });
  EXPECT_EQ(code, StatusCode::kUnavailable);  // Not an empty list: nobody knows yet.
  works = true;
  s.world.RunFor(40s);
  EXPECT_TRUE(s.source->Health().ok()) << s.source->Health().ToString();
  ASSERT_FALSE(asked.empty());
  EXPECT_TRUE(asked.front().starts_with("/api/v1/namespaces/ns/pods?")) << asked.front();
  EXPECT_EQ(s.Get("inference_in_flight").size(), 1u);
  s.source.reset();  // Before its client.
}

// Whatever happens: a value is of a pod that is there, ready and heard of lately, and it is right;
// a pod that has been well for a while has one.
TEST(ScrapeSourceSimulation, ValuesAreTrueOrMissing) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    sim::NetworkOptions network;
    network.reset = 0.05;
    network.reset_after_max = 5s;
    constexpr size_t kCount = 12;
    Scenario s(seed, kCount, network);
    env::SeededRandom random(seed);
    std::vector<Instant> well_since(kCount, Instant::max());
    for (int step = 0; step < 200; ++step) {
      const size_t i = random.Below(kCount);
      FakePod& pod = s.pods[i];
      switch (random.Below(6)) {
        case 0:
          pod.there ? s.Remove(i) : s.Add(i);
          break;
        case 1:
          pod.mood = static_cast<Mood>(random.Below(5));
          break;
        case 2:
          pod.mood = Mood::kFine;
          break;
        case 3:
          pod.started = s.world.now();  // Its container is started again.
          break;
        case 4:
          pod.ready = !pod.ready;
          if (pod.there) s.Tell(i);
          break;
        default:
          break;
      }
      s.world.RunFor(Duration(static_cast<int64_t>(random.Below(2'000'000'000))));
      std::set<std::string> named;
      for (const ObjectValue& value : s.Get("avg_time_queue_us")) {
        named.insert(value.name);
        const size_t which = *ParseNumber<size_t>(value.name.substr(10));
        const FakePod& of = s.pods[which];
        ASSERT_TRUE(of.there && of.ready) << "seed " << seed << " " << value.name;
        ASSERT_LE(s.world.now() - of.page, 3500ms) << "seed " << seed << " " << value.name;
        ASSERT_NEAR(value.value, of.queue_us, of.queue_us * 1e-6) << "seed " << seed;
      }
      for (size_t k = 0; k < kCount; ++k) {
        const FakePod& of = s.pods[k];
        if (!of.there || !of.ready || of.mood != Mood::kFine) {
          well_since[k] = Instant::max();
        } else if (well_since[k] == Instant::max()) {
          well_since[k] = s.world.now();
        } else if (s.world.now() - well_since[k] > 8s) {
          ASSERT_TRUE(named.contains(Scenario::NameOf(k))) << "seed " << seed << " pod " << k;
        }
      }
    }
  }
}

}  // namespace
}  // namespace tepal::custom_metrics
