#include "apps/diagnosis/hpa_explanation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apps/diagnosis/hpa_reader.h"
#include "apps/diagnosis/json_tree.h"
#include "core/base/text.h"

namespace tepal::diagnosis {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Optional;

json::Value Json(std::string_view text) {
  auto value = json::Parse(text);
  EXPECT_TRUE(value.ok()) << value.status().ToString() << text;
  return value.ok() ? *std::move(value) : json::Value();
}

MetricAnswer Answered(int http_status) {
  MetricAnswer answer;
  answer.asked = true;
  answer.http_status = http_status;
  return answer;
}

// A cluster with a Deployment "web" that an HPA scales by a Pods metric with target 50.
class World {
 public:
  explicit World(int replicas) : replicas_(replicas) {
    inputs_.now = *ParseTimeText("2026-01-02T03:04:05Z");
    SetMetrics(R"({"type":"Pods","pods":{"metric":{"name":"queue_us"},
                   "target":{"type":"AverageValue","averageValue":"50"}}})");
    inputs_.answers.push_back(Answered(200));
  }
  // `phase`: Running, Pending, Failed; a value of the metric, or none.
  World& Pod(std::string_view name, std::string_view value, std::string_view phase = "Running",
             bool ready = true, bool deleted = false) {
    inputs_.pods.push_back(Json(
        Concat(R"({"metadata":{"name":")", name, "\"",
               deleted ? R"(,"deletionTimestamp":"2026-01-02T03:04:05Z")" : "",
               R"(},"status":{"phase":")", phase, R"(","conditions":[{"type":"Ready","status":")",
               ready ? "True" : "False", R"("}]}})")));
    if (!value.empty()) {
      items_ += Concat(items_.empty() ? "" : ",", R"({"describedObject":{"name":")", name,
                       R"("},"value":")", value, R"("})");
    }
    return *this;
  }
  World& SetMetrics(std::string metrics) {
    metrics_ = std::move(metrics);
    return *this;
  }
  World& Behavior(std::string_view text) {
    behavior_ = Concat(R"(,"behavior":)", text);
    return *this;
  }
  World& Bounds(int min, int max) {
    min_ = min;
    max_ = max;
    return *this;
  }
  World& Condition(std::string_view type, std::string_view status, std::string_view reason) {
    conditions_ = Concat(R"({"type":")", type, R"(","status":")", status, R"(","reason":")", reason,
                         R"(","message":"said"})");
    return *this;
  }
  World& Rescaled(std::string_view when, int size) {
    inputs_.events.push_back(
        Json(Concat(R"({"reason":"SuccessfulRescale","lastTimestamp":")", when,
                    R"(","message":"New size: )", size, R"(; reason: queue above target"})")));
    return *this;
  }
  HpaInputs& inputs() { return inputs_; }

  HpaExplanation Explain() {
    inputs_.hpa =
        Json(Concat(R"({"metadata":{"namespace":"default","name":"web"},"spec":{"scaleTargetRef":)",
                    R"({"apiVersion":"apps/v1","kind":"Deployment","name":"web"},"minReplicas":)",
                    min_, R"(,"maxReplicas":)", max_, R"(,"metrics":[)", metrics_, "]", behavior_,
                    R"(},"status":{"conditions":[)", conditions_, "]}}"));
    inputs_.scale = Json(Concat(R"({"spec":{"replicas":)", replicas_, R"(},"status":{"replicas":)",
                                replicas_, "}}"));
    if (inputs_.answers[0].body.is_null()) {
      inputs_.answers[0].body = Json(Concat(R"({"items":[)", items_, "]}"));
    }
    return ExplainHpa(inputs_);
  }

 private:
  HpaInputs inputs_;
  int replicas_;
  int min_ = 1, max_ = 7;
  std::string metrics_, behavior_, conditions_, items_;
};

std::string TextOf(const HpaExplanation& explanation) { return ExplanationText(explanation); }

TEST(ExplainHpaTest, TheDocumentedFormula) {
  const HpaExplanation up = World(2).Pod("a", "100").Pod("b", "100").Explain();
  EXPECT_THAT(up.recommended, Optional(4));
  EXPECT_THAT(up.desired, Optional(4));
  EXPECT_THAT(up.metrics.at(0).ratio, Optional(2.0));
  EXPECT_TRUE(up.able);
  EXPECT_THAT(TextOf(up),
              HasSubstr("Pods metric queue_us: 100 against a target of 50, ratio 2: asks for 4 "
                        "replicas\n"));
  EXPECT_THAT(TextOf(up), HasSubstr("It would go from 2 to 4 replicas.\n"));
  EXPECT_THAT(World(2).Pod("a", "25").Pod("b", "25").Explain().recommended, Optional(1));
  // Within the tolerance of 0.1.
  EXPECT_THAT(World(2).Pod("a", "55").Pod("b", "55").Explain().desired, Optional(2));
  EXPECT_THAT(World(2).Pod("a", "60").Pod("b", "60").Explain().desired, Optional(3));
}

TEST(ExplainHpaTest, PodsThatCountAndThoseThatDoNot) {
  // Not ready counts for a custom metric: the mean is 50, not 100.
  const HpaExplanation loading = World(2).Pod("a", "100").Pod("b", "0", "Running", false).Explain();
  EXPECT_THAT(loading.metrics.at(0).current, Optional(50.0));
  EXPECT_THAT(loading.desired, Optional(2));
  EXPECT_THAT(TextOf(loading), HasSubstr("not ready, but counted with its value: b"));
  // Pending is 0 on the way up: 200 over 2.
  const HpaExplanation pending = World(2).Pod("a", "200").Pod("b", "", "Pending").Explain();
  EXPECT_THAT(pending.recommended, Optional(4));
  EXPECT_THAT(TextOf(pending), HasSubstr("1 pod is Pending: counted as 0"));
  // And left out on the way down.
  EXPECT_THAT(World(2).Pod("a", "10").Pod("b", "", "Pending").Explain().recommended, Optional(1));
  // What goes or has failed never counts.
  EXPECT_THAT(World(1)
                  .Pod("a", "50")
                  .Pod("b", "900", "Running", true, true)
                  .Pod("c", "900", "Failed")
                  .Explain()
                  .recommended,
              Optional(1));
}

TEST(ExplainHpaTest, MissingValuesAreCautious) {
  // Down: the missing one is at the target; (10+10+50)/3 is 23.3, ratio 0.47, 2 of 3.
  const HpaExplanation down = World(3).Pod("a", "10").Pod("b", "10").Pod("c", "").Explain();
  EXPECT_THAT(down.recommended, Optional(2));
  EXPECT_THAT(TextOf(down), HasSubstr("no value of c: counted as at the target"));
  // Up: it is at 0; (120+120+0)/3 is 80, ratio 1.6, 5 of 3.
  EXPECT_THAT(World(3).Pod("a", "120").Pod("b", "120").Pod("c", "").Explain().recommended,
              Optional(5));
  // The direction would turn.
  EXPECT_THAT(World(3).Pod("a", "60").Pod("b", "").Pod("c", "").Explain().desired, Optional(3));
}

TEST(ExplainHpaTest, AnUnknownMetricStopsItAndSaysWhy) {
  World world(3);
  world.Pod("a", "").inputs().answers[0] = {
      .asked = true,
      .http_status = 404,
      .message = "the server could not find the metric queue_ms for pods",
      .path = "/apis/custom.metrics.k8s.io/v1beta1/x",
      .body = {},
      .similar = "queue_us"};
  const HpaExplanation explanation = world.Explain();
  EXPECT_FALSE(explanation.able);
  EXPECT_THAT(explanation.desired, Optional(3));
  EXPECT_THAT(TextOf(explanation), HasSubstr("there is a metric 'queue_us': name that one"));
  EXPECT_THAT(TextOf(explanation), HasSubstr("the metrics API answers 404"));
  EXPECT_THAT(TextOf(World(1).Pod("a", "").Explain()), HasSubstr("no running pod of the target"));
}

TEST(ExplainHpaTest, OneUnknownOfTwoForbidsOnlyDown) {
  const auto world = [](std::string_view value) {
    World two(2);
    two.SetMetrics(R"({"type":"Pods","pods":{"metric":{"name":"a"},
                       "target":{"averageValue":"50"}}},
                      {"type":"External","external":{"metric":{"name":"b"},
                       "target":{"averageValue":"1"}}})");
    two.Pod("x", value).Pod("y", value).inputs().answers.push_back(Answered(503));
    return two.Explain();
  };
  EXPECT_THAT(world("100").desired, Optional(4));
  EXPECT_THAT(world("10").desired, Optional(2));
  EXPECT_FALSE(world("10").able);
}

TEST(ExplainHpaTest, ATotalDoesNotDependOnTheReplicas) {
  World world(3);
  world.SetMetrics(R"({"type":"External","external":{"metric":{"name":"required"},
                       "target":{"type":"AverageValue","averageValue":"1"}}})");
  world.inputs().answers[0].body = Json(R"({"items":[{"value":"4500m"},{"value":1}]})");
  EXPECT_THAT(world.Explain().recommended, Optional(6));
}

TEST(ExplainHpaTest, AValueIsMultipliedByTheReadyPods) {
  World world(3);
  world.SetMetrics(R"({"type":"Object","object":{"metric":{"name":"rate"},"describedObject":
      {"kind":"Service","name":"s"},"target":{"type":"Value","value":"100"}}})");
  world.Pod("a", "").Pod("b", "").Pod("c", "", "Running", false);
  world.inputs().answers[0].body = Json(R"({"items":[{"value":"200"}]})");
  EXPECT_THAT(world.Explain().recommended, Optional(4));
}

TEST(ExplainHpaTest, PoliciesLimitTheStep) {
  // By default at most 4 more, or twice as many.
  const HpaExplanation burst = World(1).Pod("a", "900").Explain();
  EXPECT_THAT(burst.recommended, Optional(18));
  EXPECT_THAT(burst.desired, Optional(5));
  EXPECT_THAT(burst.reasons, Contains("the scale-up policies allow 5 for now"));
  // What an event tells of has used the allowance up.
  EXPECT_THAT(World(5)
                  .Bounds(1, 20)
                  .Pod("a", "900")
                  .Rescaled("2026-01-02T03:00:00Z", 1)
                  .Rescaled("2026-01-02T03:04:00Z", 5)
                  .Explain()
                  .desired,
              Optional(5));
  EXPECT_THAT(World(1)
                  .Pod("a", "900")
                  .Behavior(R"({"scaleUp":{"policies":[{"type":"Pods","value":1,
                                "periodSeconds":60}]}})")
                  .Explain()
                  .desired,
              Optional(2));
  const HpaExplanation disabled =
      World(1).Pod("a", "900").Behavior(R"({"scaleUp":{"selectPolicy":"Disabled"}})").Explain();
  EXPECT_THAT(disabled.desired, Optional(1));
  EXPECT_THAT(disabled.reasons, Contains("scaling up is disabled (selectPolicy)"));
}

TEST(ExplainHpaTest, BoundsAndZero) {
  EXPECT_THAT(World(4).Bounds(1, 7).Pod("a", "900").Explain().desired, Optional(7));
  EXPECT_THAT(World(9).Pod("a", "0").Explain().desired, Optional(7));
  EXPECT_THAT(World(1).Bounds(2, 7).Pod("a", "0").Explain().desired, Optional(2));
  const HpaExplanation zero = World(0).Explain();
  EXPECT_FALSE(zero.able);
  EXPECT_THAT(TextOf(zero), HasSubstr("scaled to 0 by hand"));
}

TEST(ExplainHpaTest, StabilisationWaitsForWhatWasSeen) {
  World quiet(4);
  for (const char* const name : {"a", "b", "c", "d"}) quiet.Pod(name, "10");
  EXPECT_THAT(quiet.Explain().desired, Optional(1));
  quiet.inputs().seen = {{quiet.inputs().now - 200s, 3}, {quiet.inputs().now - 400s, 4}};
  EXPECT_THAT(quiet.Explain().desired, Optional(3));
  quiet.inputs().seen.clear();
  quiet.Condition("AbleToScale", "True", "ScaleDownStabilized");
  EXPECT_THAT(quiet.Explain().desired, Optional(4));
  EXPECT_THAT(TextOf(quiet.Explain()), HasSubstr("of the last 300 s agrees"));
}

TEST(ExplainHpaTest, ItAsksWhereTheControllerAsks) {
  const json::Value pods = Json(R"({"type":"Pods","pods":{"metric":{"name":"queue_us",
      "selector":{"matchLabels":{"model":"a"}}}}})");
  const MetricRequest request = MetricRequestOf(pods, "default", "app=web", "v1beta2");
  EXPECT_EQ(request.path, "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/pods/*/queue_us");
  EXPECT_EQ(request.query, "labelSelector=app%3Dweb&metricLabelSelector=model%3Da");
  EXPECT_EQ(MetricRequestOf(Json(R"({"type":"Object","object":{"metric":{"name":"m"},
      "describedObject":{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","name":"i"}}})"),
                            "d", "", "v1beta1")
                .path,
            "/apis/custom.metrics.k8s.io/v1beta1/namespaces/d/ingresses.networking.k8s.io/i/m");
  EXPECT_EQ(ScalePath(Json(R"({"metadata":{"namespace":"d"},"spec":{"scaleTargetRef":
      {"apiVersion":"apps/v1beta1","kind":"Deployment","name":"web"}}})")),
            "/apis/apps/v1/namespaces/d/deployments/web/scale");
}

}  // namespace
}  // namespace tepal::diagnosis
