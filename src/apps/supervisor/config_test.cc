#include "apps/supervisor/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apps/supervisor/slots.h"
#include "core/base/testing/repository_file.h"

namespace tepal::supervisor {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kShortest =
    "models: {repository: models}\n"
    "slots: {count: 7}\n"
    "autoscaler: {metrics: {in_flight: {target: 4}}}\n";

std::string ErrorOf(const std::string& text) {
  return ParseUpConfig(text, "tepal.yaml").status().message();
}

TEST(UpConfig, TheShortestFile) {
  const auto config = ParseUpConfig(kShortest, "tepal.yaml");
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(config->model_repository, "models");
  EXPECT_EQ(config->replicas.slots, 7);
  EXPECT_EQ(config->balancer.listen.ToString(), "127.0.0.1:8000");
  EXPECT_EQ(config->autoscaler.options.replicas_min, 1);
  EXPECT_EQ(config->autoscaler.options.replicas_max, 7);
  EXPECT_EQ(config->autoscaler.options.scale_down.stabilization_window, 300s);
  EXPECT_EQ(config->autoscaler.in_flight->target, 4);
  EXPECT_FALSE(config->autoscaler.queue_time.has_value());
}

TEST(UpConfig, EveryField) {
  const auto config = ParseUpConfig(R"(
models:
  repository: ../models
  load: [flower, rose]
serve:
  flags: ["--log-verbose=1"]
  start_time_max: 30s
  drain_time_max: 10s
  stop_time_max: 5s
balancer:
  listen: 0.0.0.0:9000
  admin: "[::1]:9001"
  policy: round_robin
  in_flight_max: 8
  queue_size_max: 50
  queue_time_max: 5s
slots:
  count: 4
  cpu: 0.25
  quota: required
autoscaler:
  minReplicas: 2
  maxReplicas: 3
  period: 500ms
  tolerance: 0.2
  metrics:
    in_flight: {target: 2.5, window: 5s}
    queue_time: {target: 50ms, window: 20s}
  behavior:
    scaleUp:
      stabilizationWindowSeconds: 1
      tolerance: 0
      selectPolicy: Min
      policies:
        - {type: Pods, value: 2, periodSeconds: 5}
        - {type: Percent, value: 50}
    scaleDown:
      stabilizationWindowSeconds: 10
      selectPolicy: Disabled
state: /var/lib/tepal
)",
                                    "tepal.yaml");
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_THAT(config->models, ElementsAre("flower", "rose"));
  EXPECT_THAT(config->serve_flags, ElementsAre("--log-verbose=1"));
  EXPECT_EQ(config->replicas.start_time_max, 30s);
  EXPECT_EQ(config->replicas.drain_time_max, 10s);
  EXPECT_EQ(config->replicas.stop_time_max, 5s);
  EXPECT_EQ(config->balancer.listen.port, 9000);
  EXPECT_EQ(config->balancer.admin.host, "::1");
  EXPECT_EQ(config->balancer.policy, lb::ChoicePolicy::kRoundRobin);
  EXPECT_EQ(config->balancer.in_flight_max, 8u);
  EXPECT_EQ(config->balancer.queue_size_max, 50u);
  EXPECT_EQ(config->balancer.queue_time_max, 5s);
  EXPECT_EQ(config->slots.cores, 0.25);
  EXPECT_EQ(config->slots.quota, QuotaMode::kRequired);
  const AutoscalerConfig& scaling = config->autoscaler;
  EXPECT_EQ(scaling.options.replicas_min, 2);
  EXPECT_EQ(scaling.options.replicas_max, 3);
  EXPECT_EQ(scaling.period, 500ms);
  EXPECT_EQ(scaling.options.tolerance.scale_up, 0);
  EXPECT_EQ(scaling.options.tolerance.scale_down, 0.2);
  EXPECT_EQ(scaling.in_flight->window, 5s);
  EXPECT_EQ(scaling.queue_time->target, 50);
  EXPECT_EQ(scaling.options.scale_up.select, autoscaling::SelectPolicy::kMin);
  ASSERT_EQ(scaling.options.scale_up.policies.size(), 2u);
  EXPECT_EQ(scaling.options.scale_up.policies[0].period, 5s);
  EXPECT_EQ(scaling.options.scale_up.policies[1].type, autoscaling::ScalingPolicy::Type::kPercent);
  EXPECT_EQ(scaling.options.scale_down.select, autoscaling::SelectPolicy::kDisabled);
  EXPECT_EQ(config->state_directory, "/var/lib/tepal");
}

// The example is the documentation: it must be right, and name every field.
TEST(UpConfig, TheExampleFile) {
  const std::string text = ReadRepositoryFile("examples/flower/tepal.yaml");
  ASSERT_FALSE(text.empty());
  const auto config = ParseUpConfig(text, "tepal.yaml");
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(config->model_repository, "models");
  EXPECT_EQ(config->slots.count, 7);
  EXPECT_EQ(config->autoscaler.in_flight->target, 2);
  EXPECT_EQ(config->autoscaler.options.replicas_max, 7);
  EXPECT_EQ(config->autoscaler.options.scale_up.policies.size(), 2u);
}

TEST(UpConfig, NamesEveryMistakeWithItsLine) {
  const std::string error = ErrorOf(
      "models: {repository: models}\n"
      "balancer:\n"
      "  listen: localhost\n"
      "  polcy: round_robin\n"
      "slots: {count: 3, cpu: much}\n"
      "autoscaler:\n"
      "  maxReplicas: 9\n"
      "  metrics: {queue_time: {target: 50}}\n");
  EXPECT_THAT(error, HasSubstr("tepal.yaml:3: field 'balancer.listen': got 'localhost'"));
  EXPECT_THAT(error, HasSubstr("tepal.yaml:4: unknown field 'balancer.polcy'"));
  EXPECT_THAT(error, HasSubstr("tepal.yaml:5: field 'slots.cpu': got 'much'"));
  EXPECT_THAT(error, HasSubstr("tepal.yaml:7: field 'autoscaler.maxReplicas': got '9'"));
  EXPECT_THAT(error, HasSubstr("tepal.yaml:8: field 'autoscaler.metrics.queue_time.target'"));
}

TEST(UpConfig, SaysWhatIsMissing) {
  const std::string empty = ErrorOf("");
  EXPECT_THAT(empty, HasSubstr("'models'"));
  EXPECT_THAT(empty, HasSubstr("'slots'"));
  EXPECT_THAT(empty, HasSubstr("'autoscaler'"));
  EXPECT_THAT(ErrorOf("models: {repository: m}\nslots: {count: 2}\nautoscaler: {metrics: {}}\n"),
              HasSubstr("in_flight, queue_time or both"));
}

TEST(UpConfig, ABadNumberOfSlotsIsOneMistake) {
  EXPECT_EQ(ErrorOf("models: {repository: m}\nslots: {count: 70}\n"
                    "autoscaler: {maxReplicas: 9, metrics: {in_flight: {target: 4}}}\n"),
            "tepal.yaml:2: field 'slots.count': got '70', expected a whole number from 1 to 64");
}

TEST(UpConfig, ChecksWhatMustFitTogether) {
  const std::string start = "models: {repository: m}\nslots: {count: 2}\n";
  EXPECT_THAT(ErrorOf(start + "autoscaler: {minReplicas: 3, metrics: {in_flight: {target: 4}}}\n"),
              HasSubstr("at most maxReplicas, 2"));
  EXPECT_THAT(ErrorOf(start + "autoscaler: {metrics: {in_flight: {target: 4}}, behavior: {scaleUp: "
                              "{policies: [{type: Pods, value: 1, periodSeconds: 0}]}}}\n"),
              HasSubstr("at least 1"));
  EXPECT_THAT(ErrorOf(start + "autoscaler: {period: 0s, metrics: {in_flight: {target: 4}}}\n"),
              HasSubstr("more than 0s"));
}

class FakeGroups final : public env::CpuGroups {
 public:
  Result<std::string> Create(const std::string& name, double cores) override {
    if (refuses) return FailedPrecondition("read-only");
    cores_of_one = cores;
    return "/groups/" + name;
  }
  Status Move(const std::string&, int) override { return {}; }
  std::string Describe() const override { return "groups of a test"; }
  bool refuses = false;
  double cores_of_one = 0;
};

std::string SlotsErrorOf(const std::string& slots) {
  return ErrorOf("models: {repository: models}\nslots: {" + slots +
                 "}\nautoscaler: {metrics: {in_flight: {target: 4}}}\n");
}

TEST(UpConfig, SlotsOnGpus) {
  const auto config = ParseUpConfig(
      "models: {repository: models}\n"
      "slots: {source: auto, gpus: [0, GPU-1], profiles: [1g.5gb]}\n"
      "autoscaler: {metrics: {in_flight: {target: 4}}}\n",
      "tepal.yaml");
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(config->slots.source, SlotSource::kAuto);
  EXPECT_THAT(config->slots.gpus, ElementsAre("0", "GPU-1"));
  EXPECT_THAT(config->slots.profiles, ElementsAre("1g.5gb"));
  EXPECT_EQ(config->replicas.slots, kSlotsMax);
  EXPECT_EQ(config->autoscaler.options.replicas_max, kSlotsMax);

  EXPECT_EQ(
      SlotsErrorOf("source: card, count: 2"),
      "tepal.yaml:2: field 'slots.source': got 'card', expected one of cpu, mig, gpu or auto");
  EXPECT_THAT(SlotsErrorOf("source: cpu"), HasSubstr("'slots.count'"));
  EXPECT_THAT(SlotsErrorOf("source: mig, quota: off"),
              HasSubstr("tepal.yaml:2: field 'slots.quota': got a value, expected none, because "
                        "slots.source is mig"));
  EXPECT_THAT(SlotsErrorOf("count: 2, gpus: [0]"), HasSubstr("'slots.gpus'"));
}

TEST(SlotPlan, SharesTheMachineAndEnforcesIt) {
  auto owned = std::make_unique<FakeGroups>();
  FakeGroups& groups = *owned;
  const Result<std::unique_ptr<env::CpuGroups>> given(std::move(owned));
  const auto plan = PlanSlots({.count = 7, .cores = 0, .quota = QuotaMode::kAuto}, 2, given);
  ASSERT_TRUE(plan.ok());
  EXPECT_TRUE(plan->enforced);
  EXPECT_NEAR(plan->cores, 1.0 / 7, 1e-9);
  EXPECT_NEAR(groups.cores_of_one, 1.0 / 7, 1e-9);
  EXPECT_EQ(plan->slots[6].cgroup, "/groups/slot-6");
  EXPECT_EQ(plan->description, "7 slots of 0.14 CPU on 2 CPUs, enforced by groups of a test");

  groups.refuses = true;
  const auto open = PlanSlots({.count = 2, .cores = 0.5, .quota = QuotaMode::kAuto}, 2, given);
  ASSERT_TRUE(open.ok());
  EXPECT_FALSE(open->enforced);
  EXPECT_EQ(open->slots[0].cgroup, "");
  EXPECT_THAT(open->description, HasSubstr("NOT enforced (read-only)"));
  const auto strict = PlanSlots({.count = 2, .cores = 0, .quota = QuotaMode::kRequired}, 2, given);
  EXPECT_THAT(strict.status().message(), HasSubstr("slots.quota is required"));
}

TEST(SlotPlan, SaysWhyThereIsNoQuota) {
  const Result<std::unique_ptr<env::CpuGroups>> none(NotFound("no hierarchy"));
  const auto plan = PlanSlots({.count = 1, .cores = 0, .quota = QuotaMode::kAuto}, 2, none);
  ASSERT_TRUE(plan.ok());
  EXPECT_THAT(plan->description, HasSubstr("1 slot of 1 CPU on 2 CPUs, NOT enforced (no hier"));
  const auto off = PlanSlots({.count = 1, .cores = 0, .quota = QuotaMode::kOff}, 2, none);
  EXPECT_THAT(off->description, HasSubstr("slots.quota is off"));
}

}  // namespace
}  // namespace tepal::supervisor
