// A Prometheus that answers, dies, dawdles and talks nonsense, under a source that must never make
// a value of that.

#include "scaling/custom_metrics/prometheus_source.h"

#include <gtest/gtest.h>

#include "core/base/text.h"
#include "scaling/custom_metrics/testing/fake_http.h"
#include "sim/world.h"

namespace tepal::custom_metrics {
namespace {

using testing::FakeAnswer;

const env::Address kServer{env::Address::Family::kIp4, "10.0.0.9", 9090};
const GroupResource kPods{"", "pods"};

constexpr char kRules[] = R"yaml(rules:
- seriesQuery: 'queue{pod!=""}'
  resources: {overrides: {namespace: {resource: namespace}, pod: {resource: pod}}}
  name: {as: avg_queue}
  metricsQuery: 'avg(rate(<<.Series>>{<<.LabelMatchers>>}[30s])) by (<<.GroupBy>>)'
externalRules:
- seriesQuery: 'depth'
  metricsQuery: 'sum(<<.Series>>{<<.LabelMatchers>>}) by (topic)'
)yaml";

enum class Mood { kFine, kSlow, kGarbage, kFails, kRefuses, kSilent, kHuge };

struct Scenario {
  explicit Scenario(uint64_t seed, sim::NetworkOptions network = {}, bool post = false)
      : world(seed, network), loop(world.AddLoop()), resolver(kServer) {
    answers = [this](const http::RequestHead& head, const std::string& body) {
      return Answer(head, body);
    };
    Restart();
    PrometheusClient::Options client;
    client.access = ParsePrometheusUrl("http://prometheus:9090/prefix").value();
    client.headers = {{"x-scope", "a"}};
    client.post = post;
    client.answer_bytes_max = 100'000;
    PrometheusSource::Options options;
    options.relist_interval = 60s;
    options.queries.in_flight_max = 4;
    std::vector<std::string> notes;
    source =
        PrometheusSource::New(
            loop, PrometheusClient::New(loop, {files, world.clock(), resolver}, client).value(),
            ParseRulesConfig(kRules, "rules.yaml").value(), kinds, options, &notes)
            .value();
  }

  void Restart() {
    server = testing::NewFakeServer(loop, answers);
    ASSERT_TRUE(server->Listen(kServer).ok());
  }

  FakeAnswer Answer(const http::RequestHead& head, const std::string& body) {
    last = Concat(head.method, " ", head.target, " ", body);
    if (head.headers.Get("x-scope") != std::optional<std::string_view>("a")) return {400, "", {}};
    FakeAnswer answer;
    switch (mood) {
      case Mood::kFine:
        break;
      case Mood::kSlow:
        answer.delay = 10s;
        break;
      case Mood::kGarbage:
        return {200, "<html>not me</html>"};
      case Mood::kFails:
        return {502, "bad gateway"};
      case Mood::kRefuses:
        return {422, R"({"status":"error","errorType":"execution","error":"too many"})"};
      case Mood::kSilent:
        answer.never = true;
        break;
      case Mood::kHuge:
        return {200, std::string(200'000, ' ')};
    }
    if (head.target.starts_with("/prefix/api/v1/series")) {
      ++lists;
      answer.body = R"({"status":"success","data":[)";
      const bool external = (head.target + body).find("depth") != std::string::npos;
      if (has_series) {
        answer.body += external ? R"({"__name__":"depth","topic":"t"})"
                                : R"({"__name__":"queue","pod":"a","namespace":"ns"})";
      }
      answer.body += "]}";
    } else {
      ++queries;
      answer.body = R"({"status":"success","data":{"resultType":"vector","result":[)";
      answer.body +=
          Concat(R"({"metric":{"pod":"a","topic":"t"},"value":[1700000000.25,")", value, R"("]},)");
      answer.body += R"({"metric":{"pod":"nan"},"value":[1,"NaN"]},)";
      answer.body += R"({"metric":{"pod":"inf"},"value":[1,"+Inf"]}]}})";
    }
    return answer;
  }

  std::optional<Result<std::vector<ObjectValue>>> Get(std::vector<std::string> names,
                                                      const std::string& metric = "avg_queue",
                                                      Duration wait = 20s) {
    auto got = std::make_shared<std::optional<Result<std::vector<ObjectValue>>>>();
    loop.Post([this, got, names = std::move(names), metric] {
      source->GetValues({{kPods, true, metric}, "ns", names, ""},
                        [got](Result<std::vector<ObjectValue>> values) {
                          EXPECT_FALSE(got->has_value()) << "answered twice";
                          *got = std::move(values);
                        });
    });
    world.RunUntil([got] { return got->has_value(); }, wait);
    return *got;
  }

  sim::World world;
  env::EventLoop& loop;
  KindTable kinds;
  testing::NoFiles files;
  testing::OneAddress resolver;
  testing::FakeAnswers answers;
  std::unique_ptr<net::HttpServer> server;
  std::unique_ptr<PrometheusSource> source;
  Mood mood = Mood::kFine;
  bool has_series = true;
  double value = 1.5;
  int lists = 0;
  int queries = 0;
  std::string last;
};

TEST(PrometheusSource, AnswersWithTheDataAsItIs) {
  Scenario s(1);
  EXPECT_EQ(s.source->Health().code(), StatusCode::kUnavailable);
  EXPECT_EQ(s.Get({"a"})->status().code(), StatusCode::kUnavailable);  // Not listed yet.
  s.source->Start();
  s.world.RunFor(1s);
  EXPECT_TRUE(s.source->Health().ok());
  ASSERT_EQ(s.source->ObjectMetrics().size(), 2u);  // Of pods and of namespaces.
  EXPECT_EQ(s.source->ExternalMetrics(), (std::vector<std::string>{"depth"}));
  const auto got = s.Get({"a", "absent", "inf", "nan"});
  ASSERT_TRUE(got->ok()) << got->status().ToString();
  ASSERT_EQ((*got)->size(), 1u);
  EXPECT_EQ((*got)->at(0).name, "a");
  EXPECT_EQ((*got)->at(0).value, 1.5);
  EXPECT_EQ((*got)->at(0).timestamp, WallTime(1700000000250ms));
  EXPECT_EQ((*got)->at(0).window, 30s);
  EXPECT_EQ(s.last,
            "GET /prefix/api/v1/query?query=avg%28rate%28queue%7Bnamespace%3D%22ns%22%2Cpod%3D~%22"
            "a%7Cabsent%7Cinf%7Cnan%22%7D%5B30s%5D%29%29%20by%20%28pod%29 ");
  EXPECT_EQ(s.Get({"a"}, "other")->status().code(), StatusCode::kNotFound);
}

TEST(PrometheusSource, PostsWhenTold) {
  Scenario s(2, {}, true);
  s.source->Start();
  s.world.RunFor(1s);
  EXPECT_TRUE(s.Get({"a"})->ok());
  EXPECT_EQ(s.last,
            "POST /prefix/api/v1/query query=avg%28rate%28queue%7Bnamespace%3D%22ns%22%2Cpod%3D%22a"
            "%22%7D%5B30s%5D%29%29%20by%20%28pod%29");
}

TEST(PrometheusSource, ExternalValuesKeepTheirLabels) {
  Scenario s(3);
  s.source->Start();
  s.world.RunFor(1s);
  std::optional<Result<std::vector<ExternalValue>>> got;
  s.source->GetExternalValues(
      {"depth", "ns", "a=b"},
      [&](Result<std::vector<ExternalValue>> values) { got = std::move(values); });
  ASSERT_TRUE(s.world.RunUntil([&] { return got.has_value(); }, 5s));
  ASSERT_EQ((*got)->size(), 1u);
  EXPECT_EQ((*got)->at(0).labels.at("topic"), "t");
  EXPECT_EQ((*got)->at(0).window, std::nullopt);
  EXPECT_NE(s.last.find("a%3D%22b%22%2Cnamespace%3D%22ns%22"), std::string::npos) << s.last;
}

TEST(PrometheusSource, ManyWhoAskTheSameCostOneQuery) {
  Scenario s(4);
  s.source->Start();
  s.world.RunFor(1s);
  int answered = 0;
  for (int i = 0; i < 50; ++i) {
    s.source->GetValues({{kPods, true, "avg_queue"}, "ns", {"a"}, ""},
                        [&](Result<std::vector<ObjectValue>> values) { answered += values.ok(); });
  }
  ASSERT_TRUE(s.world.RunUntil([&] { return answered == 50; }, 5s));
  EXPECT_EQ(s.queries, 1);
  EXPECT_TRUE(s.Get({"a"})->ok());
  EXPECT_EQ(s.queries, 1);  // Kept.
  s.world.RunFor(1s);
  EXPECT_TRUE(s.Get({"a"})->ok());
  EXPECT_EQ(s.queries, 2);
}

TEST(PrometheusSource, ANewMetricIsFoundSoonAfterSomebodyAskedForIt) {
  Scenario s(5);
  s.has_series = false;
  s.source->Start();
  s.world.RunFor(10s);
  EXPECT_TRUE(s.source->ObjectMetrics().empty());
  s.has_series = true;
  EXPECT_EQ(s.Get({"a"})->status().code(), StatusCode::kNotFound);
  s.world.RunFor(1s);
  EXPECT_TRUE(s.Get({"a"})->ok());
  EXPECT_EQ(s.lists, 4);  // Two selectors, twice.
  for (int i = 0; i < 20; ++i) {
    (void)s.Get({"a"}, "nobody_knows");
    s.world.RunFor(100ms);
  }
  EXPECT_EQ(s.lists, 4);  // Not for each of them.
}

TEST(PrometheusSource, TroubleIsAnErrorAndPasses) {
  for (const Mood mood :
       {Mood::kSlow, Mood::kGarbage, Mood::kFails, Mood::kRefuses, Mood::kSilent, Mood::kHuge}) {
    Scenario s(6);
    s.source->Start();
    s.world.RunFor(1s);
    s.mood = mood;
    const auto got = s.Get({"a"});
    ASSERT_TRUE(got.has_value()) << static_cast<int>(mood);
    ASSERT_FALSE(got->ok()) << static_cast<int>(mood);
    const StatusCode code = got->status().code();
    EXPECT_TRUE(code == StatusCode::kUnavailable || code == StatusCode::kDeadlineExceeded)
        << got->status().ToString();
    // What is known of the metrics stays, whatever the next list says.
    s.world.RunFor(130s);
    EXPECT_EQ(s.source->ObjectMetrics().size(), 2u);
    // A slow one can still list.
    EXPECT_EQ(s.source->Health().ok(), mood == Mood::kSlow) << static_cast<int>(mood);
    s.mood = Mood::kFine;
    s.world.RunFor(40s);
    EXPECT_TRUE(s.source->Health().ok()) << s.source->Health().ToString();
    EXPECT_TRUE(s.Get({"a"})->ok()) << static_cast<int>(mood);
  }
}

TEST(PrometheusSource, ADeadServerIsAnErrorAndComesBack) {
  Scenario s(7);
  s.server.reset();
  s.source->Start();
  s.world.RunFor(5s);
  EXPECT_FALSE(s.source->Health().ok());
  EXPECT_EQ(s.Get({"a"})->status().code(), StatusCode::kUnavailable);
  s.Restart();
  s.world.RunFor(31s);
  EXPECT_TRUE(s.source->Health().ok());
  EXPECT_TRUE(s.Get({"a"})->ok());
}

TEST(PrometheusSource, QueriesAreBounded) {
  Scenario s(8);
  s.source->Start();
  s.world.RunFor(1s);
  s.mood = Mood::kSilent;
  int answered = 0, wrong = 0;
  for (int i = 0; i < 100; ++i) {
    s.source->GetValues({{kPods, true, "avg_queue"}, "ns", {Concat("p", i)}, ""},
                        [&](Result<std::vector<ObjectValue>> values) {
                          ++answered;
                          wrong += values.ok();
                        });
  }
  s.world.RunFor(15s);
  EXPECT_EQ(answered, 100);  // Those who have waited too long are told so.
  EXPECT_EQ(wrong, 0);
  EXPECT_LE(s.source->counters().sent, 12u);
}

TEST(PrometheusSource, AThousandPodsAreOneQuery) {
  Scenario s(9);
  s.source->Start();
  s.world.RunFor(1s);
  std::vector<std::string> names;
  for (int i = 0; i < 1000; ++i) names.push_back(Concat("flower-5d4f8c7b9-", i));
  EXPECT_TRUE(s.Get(names)->ok());
  EXPECT_EQ(s.queries, 1);
}

// Moods, resets and restarts at random: each question has one answer, no answer is a lie, and when
// the trouble is over all is well.
TEST(PrometheusSourceSimulation, NeverLiesAndRecovers) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    sim::NetworkOptions network;
    network.reset = 0.1;
    network.reset_after_max = 2s;
    network.connect_timeout = 0.05;
    Scenario s(seed, network, seed % 2 == 0);
    env::SeededRandom random(seed);
    s.source->Start();
    int asked = 0, answered = 0;
    for (int i = 0; i < 150; ++i) {
      if (random.Below(4) == 0) s.mood = static_cast<Mood>(random.Below(7));
      if (random.Below(20) == 0) {
        s.server.reset();
      } else if (s.server == nullptr) {
        s.Restart();
      }
      for (uint64_t n = random.Below(8); n > 0; --n) {
        ++asked;
        const std::string other = Concat("x", random.Below(5));
        s.loop.Post([&, seed, other] {
          s.source->GetValues(
              {{kPods, true, "avg_queue"}, "ns", {"a", other}, ""},
              [&, seed](Result<std::vector<ObjectValue>> values) {
                ++answered;
                if (values.ok()) {
                  ASSERT_EQ(values->size(), 1u) << "seed " << seed;
                  ASSERT_EQ(values->at(0).value, 1.5) << "seed " << seed;
                } else {
                  ASSERT_TRUE(values.status().code() == StatusCode::kUnavailable ||
                              values.status().code() == StatusCode::kDeadlineExceeded)
                      << "seed " << seed << ": " << values.status().ToString();
                }
              });
        });
      }
      s.world.RunFor(Duration(static_cast<int64_t>(random.Below(3'000'000'000))));
    }
    if (s.server == nullptr) s.Restart();
    s.mood = Mood::kFine;
    s.world.RunFor(130s);
    ASSERT_EQ(answered, asked) << "seed " << seed;
    bool recovered = false;  // The network still resets connections.
    for (int i = 0; i < 20 && !recovered; ++i) {
      const auto got = s.Get({"a"});
      recovered = got.has_value() && got->ok();
      s.world.RunFor(2s);
    }
    ASSERT_TRUE(recovered) << "seed " << seed;
  }
}

}  // namespace
}  // namespace tepal::custom_metrics
