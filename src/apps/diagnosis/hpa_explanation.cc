#include "apps/diagnosis/hpa_explanation.h"

#include <algorithm>
#include <cmath>

#include "apps/diagnosis/hpa_metrics.h"
#include "apps/diagnosis/json_tree.h"
#include "core/base/text.h"
#include "scaling/autoscaling/autoscaler.h"
#include "scaling/custom_metrics/quantity.h"

namespace tepal::diagnosis {
namespace {

using autoscaling::AutoscalerOptions;
using autoscaling::MetricReading;
using autoscaling::ScalingPolicy;
using autoscaling::ScalingRules;
using autoscaling::SelectPolicy;

constexpr int kReplicasMax = 1'000'000;  // Of what is believed; no cluster has more.
constexpr size_t kEventsShown = 5;

int Bounded(int64_t value) { return static_cast<int>(std::clamp<int64_t>(value, 0, kReplicasMax)); }

std::string Age(WallTime when, WallTime now) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now - when).count();
  if (seconds < 120) return Concat(seconds, " s ago");
  if (seconds < 7200) return Concat(seconds / 60, " min ago");
  return Concat(seconds / 3600, " h ago");
}

ScalingRules ReadRules(const json::Value* behavior, ScalingRules rules) {
  if (behavior == nullptr) return rules;
  if (const auto window = JsonInt(*behavior, "stabilizationWindowSeconds")) {
    rules.stabilization_window =
        std::clamp<Duration>(std::chrono::seconds(std::clamp<int64_t>(*window, 0, 3600)), 0s,
                             autoscaling::kStabilizationWindowMax);
  }
  const std::string_view select = JsonText(*behavior, "selectPolicy");
  if (select == "Min") rules.select = SelectPolicy::kMin;
  if (select == "Disabled") rules.select = SelectPolicy::kDisabled;
  std::vector<ScalingPolicy> policies;
  for (const json::Value& policy : JsonList(*behavior, "policies")) {
    const int value = Bounded(JsonInt(policy, "value").value_or(0));
    const int64_t period = JsonInt(policy, "periodSeconds").value_or(15);
    if (value < 1 || period < 1 || period > 1800) continue;
    policies.push_back({JsonText(policy, "type") == "Pods" ? ScalingPolicy::Type::kPods
                                                           : ScalingPolicy::Type::kPercent,
                        value, std::chrono::seconds(period)});
  }
  if (!policies.empty()) rules.policies = std::move(policies);
  return rules;
}

// "New size: 4; reason: …"
std::optional<int> NewSize(const json::Value& event) {
  std::string_view text = JsonText(event, "message");
  if (!text.starts_with("New size: ")) return std::nullopt;
  text.remove_prefix(10);
  return ParseNumber<int>(text.substr(0, text.find_first_not_of("0123456789")));
}

std::optional<WallTime> TimeOf(const json::Value& event) {
  for (const char* const field : {"lastTimestamp", "eventTime", "firstTimestamp"}) {
    if (const auto time = ParseTimeText(JsonText(event, field))) return time;
  }
  return std::nullopt;
}

class Explainer {
 public:
  explicit Explainer(const HpaInputs& inputs) : inputs_(inputs), hpa_(inputs.hpa) {}

  HpaExplanation Explain() {
    ReadSpec();
    ReadConditions();
    ReadEvents();
    if (!ReadScale()) return std::move(out_);
    ReadMetrics();
    Decide();
    return std::move(out_);
  }

 private:
  void Because(std::string reason) { out_.reasons.push_back(std::move(reason)); }

  void ReadSpec() {
    out_.name = Concat(JsonText(hpa_, "metadata.namespace"), "/", JsonText(hpa_, "metadata.name"));
    out_.target = Concat(JsonText(hpa_, "spec.scaleTargetRef.kind"), " ",
                         JsonText(hpa_, "spec.scaleTargetRef.name"));
    out_.min = Bounded(JsonInt(hpa_, "spec.minReplicas").value_or(1));
    out_.max = std::max(out_.min, Bounded(JsonInt(hpa_, "spec.maxReplicas").value_or(1)));
    options_.replicas_min = std::max(1, out_.min);
    options_.replicas_max = std::max(1, out_.max);
    const json::Value* const up = JsonAt(hpa_, "spec.behavior.scaleUp");
    const json::Value* const down = JsonAt(hpa_, "spec.behavior.scaleDown");
    options_.scale_up = ReadRules(up, autoscaling::DefaultScaleUp());
    options_.scale_down = ReadRules(down, autoscaling::DefaultScaleDown());
    const auto tolerance = [](const json::Value* rules, double otherwise) {
      const auto given = rules == nullptr ? std::nullopt : JsonQuantity(*rules, "tolerance");
      return given.has_value() && *given >= 0 && *given < 1 ? *given : otherwise;
    };
    options_.tolerance.scale_up = tolerance(up, options_.tolerance.scale_up);
    options_.tolerance.scale_down = tolerance(down, options_.tolerance.scale_down);
  }

  void ReadConditions() {
    for (const json::Value& condition : JsonList(hpa_, "status.conditions")) {
      out_.conditions.push_back(
          Concat(JsonText(condition, "type"), " ", JsonText(condition, "status"), " ",
                 JsonText(condition, "reason"), ": ", JsonText(condition, "message")));
    }
  }

  void ReadEvents() {
    std::vector<std::pair<WallTime, const json::Value*>> sorted;
    for (const json::Value& event : inputs_.events) {
      if (const auto time = TimeOf(event)) sorted.emplace_back(*time, &event);
    }
    std::stable_sort(sorted.begin(), sorted.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    for (const auto& [time, event] : sorted) {
      if (const auto size = NewSize(*event)) sizes_.emplace_back(time, Bounded(*size));
    }
    if (sorted.size() > kEventsShown) {
      sorted.erase(sorted.begin(), sorted.end() - static_cast<std::ptrdiff_t>(kEventsShown));
    }
    for (const auto& [time, event] : sorted) {
      out_.events.push_back(Concat(Age(time, inputs_.now), " ", JsonText(*event, "reason"), ": ",
                                   JsonText(*event, "message")));
    }
  }

  bool ReadScale() {
    if (!inputs_.scale.has_value()) {
      out_.able = false;
      Because(Concat("the scale of ", out_.target, " cannot be read (", inputs_.scale_problem,
                     "), so nothing is done"));
      return false;
    }
    replicas_ = Bounded(JsonInt(*inputs_.scale, "spec.replicas").value_or(0));
    status_replicas_ = Bounded(JsonInt(*inputs_.scale, "status.replicas").value_or(replicas_));
    out_.current = replicas_;
    if (replicas_ == 0 && out_.min > 0) {
      out_.able = false;
      out_.desired = 0;
      Because(
          "the target was scaled to 0 by hand, which switches the autoscaler off until it is "
          "scaled up by hand");
      return false;
    }
    return true;
  }

  void ReadMetrics() {
    const auto& specs = JsonList(hpa_, "spec.metrics");
    const auto& current = JsonList(hpa_, "status.currentMetrics");
    static const MetricAnswer kNotAsked;
    for (size_t i = 0; i < specs.size(); ++i) {
      const MetricAnswer& answer = i < inputs_.answers.size() ? inputs_.answers[i] : kNotAsked;
      const json::Value* fallback = nullptr;
      for (const json::Value& one : current) {
        if (JsonText(one, "type") == JsonText(specs[i], "type")) fallback = &one;
      }
      MetricResult result = ReadMetric(specs[i], answer, fallback, inputs_.pods, replicas_,
                                       status_replicas_, options_.tolerance);
      if (!inputs_.pods_problem.empty()) {
        result.explanation.notes.push_back(
            Concat("the pods cannot be listed (", inputs_.pods_problem, ")"));
      }
      const auto wants = result.explanation.replicas;
      if (!wants.has_value()) {
        ++unknown_;
      } else if (!recommended_.has_value() || *wants > *recommended_) {
        recommended_ = wants;
        strongest_ = result.explanation.name;
      }
      out_.metrics.push_back(std::move(result.explanation));
    }
  }

  // As the controller does, in its order.
  void Decide() {
    if (replicas_ > out_.max) return Conclude(out_.max, Concat("max is ", out_.max));
    if (replicas_ < out_.min) return Conclude(out_.min, Concat("min is ", out_.min));
    if (!recommended_.has_value()) {
      out_.able = false;
      return Conclude(replicas_, out_.metrics.empty() ? std::string("it has no metric")
                                                      : std::string("no metric is known"));
    }
    out_.recommended = recommended_;
    if (unknown_ > 0 && *recommended_ < replicas_) {
      out_.able = false;
      return Conclude(replicas_,
                      "the known metrics ask for fewer, but while one is unknown nothing is "
                      "scaled down");
    }
    if (out_.metrics.size() > 1) Because(Concat(strongest_, " asks for most, and decides"));
    if (*recommended_ == replicas_) Because("that is what there is (within the tolerance)");
    Limit(Stabilise(*recommended_));
  }

  int Stabilise(int recommended) {
    const bool up = recommended > replicas_;
    const Duration window = (up ? options_.scale_up : options_.scale_down).stabilization_window;
    if (recommended == replicas_ || window == Duration::zero()) return recommended;
    int stable = recommended;
    for (const auto& [when, seen] : inputs_.seen) {
      if (inputs_.now - when >= window) continue;
      stable = up ? std::min(stable, std::max(seen, replicas_))
                  : std::max(stable, std::min(seen, replicas_));
    }
    const json::Value* const able = ConditionOf(hpa_, "AbleToScale");
    const std::string_view reason =
        able == nullptr ? std::string_view() : JsonText(*able, "reason");
    if (reason == (up ? "ScaleUpStabilized" : "ScaleDownStabilized")) stable = replicas_;
    const int64_t seconds = std::chrono::duration_cast<std::chrono::seconds>(window).count();
    if (stable != recommended) {
      Because(Concat("scaling ", up ? "up" : "down",
                     " waits until every recommendation of the last ", seconds,
                     " s agrees (stabilizationWindowSeconds); one still asks for ", stable));
    } else if (inputs_.seen.empty()) {
      Because(Concat("if an earlier recommendation of the last ", seconds, " s was ",
                     up ? "lower" : "higher", ", it waits for that one to pass"));
    }
    return stable;
  }

  // Policies, with the changes that its events tell of, and the bounds.
  void Limit(int wanted) {
    AutoscalerOptions options = options_;
    options.scale_up.stabilization_window = 0s;
    options.scale_down.stabilization_window = 0s;
    options.tolerance = {.scale_up = 0, .scale_down = 0};
    options.replicas_min = 1;
    options.replicas_max = kReplicasMax;
    if (!Validate(options).ok()) return Conclude(replicas_, "its behavior cannot be read");
    autoscaling::Autoscaler autoscaler(options);
    const auto ask = [&](int current, int replicas, Duration age) {
      MetricReading reading;
      reading.name = "events";
      reading.total = replicas;
      return autoscaler.Decide(current, std::span(&reading, 1), Instant() - age).desired;
    };
    for (size_t i = 1; i < sizes_.size(); ++i) {
      if (sizes_[i - 1].second > 0) {
        ask(sizes_[i - 1].second, sizes_[i].second, inputs_.now - sizes_[i].first);
      }
    }
    int desired = wanted == replicas_ || replicas_ == 0 ? wanted : ask(replicas_, wanted, 0s);
    if (desired != wanted) {
      const bool up = wanted > replicas_;
      const bool disabled =
          (up ? options_.scale_up : options_.scale_down).select == SelectPolicy::kDisabled;
      Because(disabled ? Concat("scaling ", up ? "up" : "down", " is disabled (selectPolicy)")
                       : Concat("the scale-", up ? "up" : "down", " policies allow ", desired,
                                " for now"));
    }
    std::string why;
    if (desired > out_.max) why = Concat("max is ", out_.max);
    if (desired < out_.min) why = Concat("min is ", out_.min);
    Conclude(std::clamp(desired, out_.min, out_.max), std::move(why));
  }

  void Conclude(int desired, std::string why) {
    out_.desired = desired;
    if (!why.empty()) Because(std::move(why));
  }

  const HpaInputs& inputs_;
  const json::Value& hpa_;
  HpaExplanation out_;
  AutoscalerOptions options_;
  int replicas_ = 0;
  int status_replicas_ = 0;
  int unknown_ = 0;
  std::optional<int> recommended_;
  std::string strongest_;
  std::vector<std::pair<WallTime, int>> sizes_;  // After each change that an event tells of.
};

}  // namespace

HpaExplanation ExplainHpa(const HpaInputs& inputs) { return Explainer(inputs).Explain(); }

}  // namespace tepal::diagnosis
