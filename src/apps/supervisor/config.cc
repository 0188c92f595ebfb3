#include "apps/supervisor/config.h"

#include <utility>

#include "core/base/text.h"
#include "core/options/values.h"
#include "core/options/yaml.h"

namespace tepal::supervisor {
namespace {

using autoscaling::ScalingPolicy;
using autoscaling::ScalingRules;
using autoscaling::SelectPolicy;
using options::YamlReader;

constexpr Duration kPeriodMax = 60s;
constexpr Duration kWindowMax = 3600s;

void ReadAddress(YamlReader& section, std::string_view key, env::Address* out) {
  std::string text = out->ToString();
  section.Text(key, &text);
  const Result<env::Address> address = env::Address::Parse(text);
  if (address.ok()) {
    *out = *address;
  } else {
    section.Fail(key, Concat("'", text, "'"), "HOST:PORT with a numeric host, as 127.0.0.1:8000");
  }
}

void ReadTime(YamlReader& section, std::string_view key, Duration* out, Duration max) {
  Duration value = *out;
  section.Time(key, &value);
  if (value > Duration::zero() && value <= max) {
    *out = value;
  } else {
    section.Fail(key, Concat("'", options::DurationText(value), "'"),
                 Concat("more than 0s and at most ", options::DurationText(max)));
  }
}

void ReadModels(YamlReader models, UpConfig& config) {
  models.Require("repository", "the model repository's directory, relative to this file");
  models.Text("repository", &config.model_repository);
  models.Texts("load", &config.models);
}

void ReadServe(YamlReader serve, UpConfig& config) {
  serve.Texts("flags", &config.serve_flags);
  ReadTime(serve, "start_time_max", &config.replicas.start_time_max, kWindowMax);
  ReadTime(serve, "drain_time_max", &config.replicas.drain_time_max, kWindowMax);
  ReadTime(serve, "stop_time_max", &config.replicas.stop_time_max, kWindowMax);
}

void ReadBalancer(YamlReader section, BalancerConfig& balancer) {
  ReadAddress(section, "listen", &balancer.listen);
  ReadAddress(section, "admin", &balancer.admin);
  section.Choice<lb::ChoicePolicy>("policy",
                                   {{"least_outstanding", lb::ChoicePolicy::kLeastOutstanding},
                                    {"round_robin", lb::ChoicePolicy::kRoundRobin},
                                    {"power_of_two", lb::ChoicePolicy::kPowerOfTwo},
                                    {"least_time", lb::ChoicePolicy::kLeastTime},
                                    {"least_wait", lb::ChoicePolicy::kLeastWait}},
                                   &balancer.policy);
  section.Int("in_flight_max", &balancer.in_flight_max, 0, 1'000'000);
  section.Int("queue_size_max", &balancer.queue_size_max, 0, 1'000'000);
  ReadTime(section, "queue_time_max", &balancer.queue_time_max, kWindowMax);
}

// What a source has no use for is a mistake: somebody believes that it does something.
void RefuseOthers(YamlReader& section, std::initializer_list<std::string_view> keys,
                  std::string_view source) {
  for (const std::string_view key : keys) {
    if (section.Has(key)) {
      section.Fail(key, "a value", Concat("none, because slots.source is ", source));
    }
  }
}

void ReadSlots(YamlReader section, SlotsConfig& slots) {
  section.Choice<SlotSource>("source",
                             {{"cpu", SlotSource::kCpu},
                              {"mig", SlotSource::kMig},
                              {"gpu", SlotSource::kGpu},
                              {"auto", SlotSource::kAuto}},
                             &slots.source);
  if (slots.source == SlotSource::kCpu) {
    section.Require("count", Concat("how many replicas fit, 1 to ", kSlotsMax));
    RefuseOthers(section, {"gpus", "profiles"}, "cpu");
  }
  if (slots.source == SlotSource::kMig) RefuseOthers(section, {"cpu", "quota"}, "mig");
  if (slots.source == SlotSource::kGpu) RefuseOthers(section, {"cpu", "quota", "profiles"}, "gpu");
  section.Int("count", &slots.count, 1, kSlotsMax);
  section.Texts("gpus", &slots.gpus);
  section.Texts("profiles", &slots.profiles);
  std::string cores = "auto";
  section.Text("cpu", &cores);
  if (cores != "auto") {
    const std::optional<double> number = ParseNumber<double>(cores);
    if (number.has_value() && *number >= 0.01 && *number <= 1024) {
      slots.cores = *number;
    } else {
      section.Fail("cpu", Concat("'", cores, "'"), "auto, or CPUs of one slot from 0.01 to 1024");
    }
  }
  section.Choice<QuotaMode>(
      "quota",
      {{"auto", QuotaMode::kAuto}, {"required", QuotaMode::kRequired}, {"off", QuotaMode::kOff}},
      &slots.quota);
}

void ReadSeconds(YamlReader& section, std::string_view key, Duration* out, Duration max) {
  int seconds = static_cast<int>(std::chrono::duration_cast<std::chrono::seconds>(*out).count());
  section.Int(key, &seconds, 0,
              static_cast<int>(std::chrono::duration_cast<std::chrono::seconds>(max).count()));
  *out = std::chrono::seconds(seconds);
}

// One direction of `behavior`, in the words of autoscaling/v2.
void ReadRules(YamlReader section, ScalingRules& rules, double& tolerance) {
  ReadSeconds(section, "stabilizationWindowSeconds", &rules.stabilization_window,
              autoscaling::kStabilizationWindowMax);
  section.Choice<SelectPolicy>("selectPolicy",
                               {{"Max", SelectPolicy::kMax},
                                {"Min", SelectPolicy::kMin},
                                {"Disabled", SelectPolicy::kDisabled}},
                               &rules.select);
  section.Number("tolerance", &tolerance, 0, 0.99);
  std::vector<ScalingPolicy> policies;
  for (YamlReader& item : section.Sections("policies")) {
    ScalingPolicy policy;
    item.Require("type", "Pods or Percent");
    item.Choice<ScalingPolicy::Type>(
        "type", {{"Pods", ScalingPolicy::Type::kPods}, {"Percent", ScalingPolicy::Type::kPercent}},
        &policy.type);
    item.Require("value", "a whole number above 0");
    item.Int("value", &policy.value, 1, 1'000'000);
    ReadSeconds(item, "periodSeconds", &policy.period, autoscaling::kPolicyPeriodMax);
    if (policy.period <= Duration::zero()) item.Fail("periodSeconds", "'0'", "at least 1");
    policies.push_back(policy);
  }
  if (!policies.empty()) rules.policies = std::move(policies);
}

std::optional<MetricConfig> ReadInFlight(YamlReader& metrics) {
  if (!metrics.Has("in_flight")) return std::nullopt;
  MetricConfig metric{.target = 0, .window = 3s};
  YamlReader section = metrics.Section("in_flight");
  section.Require("target", "requests in flight for each replica, as 4");
  section.Number("target", &metric.target, 0.001, 1e6);
  ReadTime(section, "window", &metric.window, kWindowMax);
  return metric;
}

std::optional<MetricConfig> ReadQueueTime(YamlReader& metrics) {
  if (!metrics.Has("queue_time")) return std::nullopt;
  MetricConfig metric{.target = 0, .window = 30s};
  YamlReader section = metrics.Section("queue_time");
  section.Require("target", "mean time in queues for one request, as 50ms");
  Duration target = 1ms;
  ReadTime(section, "target", &target, kWindowMax);
  metric.target = ToMilliseconds(target);
  ReadTime(section, "window", &metric.window, kWindowMax);
  return metric;
}

void ReadAutoscaler(YamlReader section, int slots, AutoscalerConfig& config) {
  autoscaling::AutoscalerOptions& options = config.options;
  options.replicas_max = slots > 0 ? slots : kSlotsMax;
  section.Int("minReplicas", &options.replicas_min, 1, kSlotsMax);
  section.Int("maxReplicas", &options.replicas_max, 1, kSlotsMax);
  if (slots > 0 && options.replicas_max > slots) {
    section.Fail("maxReplicas", Concat("'", options.replicas_max, "'"),
                 Concat("at most slots.count, ", slots));
  }
  if (options.replicas_min > options.replicas_max) {
    section.Fail("minReplicas", Concat("'", options.replicas_min, "'"),
                 Concat("at most maxReplicas, ", options.replicas_max));
  }
  ReadTime(section, "period", &config.period, kPeriodMax);

  double tolerance = options.tolerance.scale_up;
  section.Number("tolerance", &tolerance, 0, 0.99);
  options.tolerance = {tolerance, tolerance};
  YamlReader behavior = section.Section("behavior");
  ReadRules(behavior.Section("scaleUp"), options.scale_up, options.tolerance.scale_up);
  ReadRules(behavior.Section("scaleDown"), options.scale_down, options.tolerance.scale_down);

  section.Require("metrics", "in_flight, queue_time or both");
  YamlReader metrics = section.Section("metrics");
  config.in_flight = ReadInFlight(metrics);
  config.queue_time = ReadQueueTime(metrics);
  if (section.Has("metrics") && !config.in_flight.has_value() && !config.queue_time.has_value()) {
    section.Fail("metrics", "neither", "in_flight, queue_time or both");
  }
}

}  // namespace

Result<UpConfig> ParseUpConfig(std::string_view text, const std::string& file) {
  ASSIGN_OR_RETURN(const options::YamlNode tree, options::ParseYaml(text, file));
  UpConfig config;
  YamlReader root(tree, file);
  root.Require("models", "a section with the model repository");
  if (root.Has("models")) ReadModels(root.Section("models"), config);
  ReadServe(root.Section("serve"), config);
  ReadBalancer(root.Section("balancer"), config.balancer);
  root.Require("slots", "a section with the number of slots");
  if (root.Has("slots")) ReadSlots(root.Section("slots"), config.slots);
  config.replicas.slots = config.slots.count > 0 ? config.slots.count : kSlotsMax;
  root.Require("autoscaler", "a section with the metrics to scale by");
  if (root.Has("autoscaler")) {
    ReadAutoscaler(root.Section("autoscaler"), config.slots.count, config.autoscaler);
  }
  root.Text("state", &config.state_directory);
  RETURN_IF_ERROR(root.Finish());
  RETURN_IF_ERROR(autoscaling::Validate(config.autoscaler.options));
  return config;
}

}  // namespace tepal::supervisor
