#include "scaling/custom_metrics/source_set.h"

#include <gtest/gtest.h>

namespace tepal::custom_metrics {
namespace {

const GroupResource kPods{"", "pods"};

class FakeSource final : public MetricSource {
 public:
  explicit FakeSource(std::string metric, double value)
      : metric_(std::move(metric)), value_(value) {}
  Status failure;
  bool blind = false;  // Knows nothing.

  std::vector<MetricInfo> ObjectMetrics() const override {
    if (blind) return {};
    return {{kPods, true, metric_}, {kPods, true, "shared"}};
  }
  std::vector<std::string> ExternalMetrics() const override { return {metric_}; }
  void GetValues(ObjectQuery query,
                 Function<void(Result<std::vector<ObjectValue>>)> done) override {
    if (!failure.ok()) return done(failure);
    if (query.metric.metric != metric_ && query.metric.metric != "shared") {
      return done(NotFound("not mine"));
    }
    done(std::vector<ObjectValue>{{"p", value_, {}, std::nullopt}});
  }
  void GetExternalValues(ExternalQuery query,
                         Function<void(Result<std::vector<ExternalValue>>)> done) override {
    if (query.metric != metric_) return done(NotFound("not mine"));
    done(std::vector<ExternalValue>{{{}, value_, {}, std::nullopt}});
  }
  Status Health() const override { return failure; }

 private:
  const std::string metric_;
  const double value_;
};

struct Two {
  Two() {
    std::vector<std::unique_ptr<MetricSource>> sources;
    auto one = std::make_unique<FakeSource>("a", 1);
    auto two = std::make_unique<FakeSource>("b", 2);
    first = one.get();
    second = two.get();
    sources.push_back(std::move(one));
    sources.push_back(std::move(two));
    set.emplace(std::move(sources));
  }
  Result<std::vector<ObjectValue>> Get(const std::string& metric) {
    std::optional<Result<std::vector<ObjectValue>>> got;
    set->GetValues({{kPods, true, metric}, "ns", {"p"}, ""},
                   [&](Result<std::vector<ObjectValue>> values) { got = std::move(values); });
    return *got;
  }
  FakeSource* first;
  FakeSource* second;
  std::optional<SourceSet> set;
};

TEST(SourceSet, TheFirstThatKnowsAnswers) {
  Two two;
  EXPECT_EQ(two.Get("a")->at(0).value, 1);
  EXPECT_EQ(two.Get("b")->at(0).value, 2);
  EXPECT_EQ(two.Get("shared")->at(0).value, 1);
  EXPECT_EQ(two.Get("c").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(two.set->ObjectMetrics().size(), 3u);
  EXPECT_EQ(two.set->ExternalMetrics(), (std::vector<std::string>{"a", "b"}));
  double external = 0;
  two.set->GetExternalValues({"b", "ns", ""}, [&](Result<std::vector<ExternalValue>> values) {
    external = values->at(0).value;
  });
  EXPECT_EQ(external, 2);
}

TEST(SourceSet, ASourceThatKnowsAndCannotSayIsNotPassedOver) {
  Two two;
  two.first->failure = Unavailable("down");
  EXPECT_EQ(two.Get("shared").status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(two.Get("b")->at(0).value, 2);  // Which the first has never known.
  EXPECT_FALSE(two.set->Health().ok());
}

TEST(SourceSet, WhatABlindSourceMightKnowIsNotNotFound) {
  Two two;
  two.first->failure = Unavailable("not listed yet");
  two.first->blind = true;
  EXPECT_EQ(two.Get("a").status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(two.Get("b")->at(0).value, 2);
}

}  // namespace
}  // namespace tepal::custom_metrics
