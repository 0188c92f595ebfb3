#include "apps/diagnosis/hpa_metrics.h"

#include <cmath>
#include <map>

#include "apps/diagnosis/json_tree.h"
#include "core/base/text.h"
#include "scaling/custom_metrics/quantity.h"

namespace tepal::diagnosis {
namespace {

using autoscaling::MetricReading;

enum class PodState { kReady, kNotReady, kPending, kIgnored };

PodState StateOf(const json::Value& pod) {
  const std::string_view phase = JsonText(pod, "status.phase");
  if (JsonAt(pod, "metadata.deletionTimestamp") != nullptr || phase == "Failed") {
    return PodState::kIgnored;
  }
  if (phase == "Pending") return PodState::kPending;
  const json::Value* const ready = ConditionOf(pod, "Ready");
  const bool is_ready =
      phase == "Running" && ready != nullptr && JsonText(*ready, "status") == "True";
  return is_ready ? PodState::kReady : PodState::kNotReady;
}

std::string Number(double value) {
  return std::abs(value) >= 1000 ? Concat(std::round(value)) : custom_metrics::QuantityText(value);
}

std::string Plural(int count, std::string_view one, std::string_view many) {
  return Concat(count, " ", count == 1 ? one : many);
}

class MetricReader {
 public:
  MetricReader(const json::Value& spec, const MetricAnswer& answer, const json::Value* fallback,
               const std::vector<json::Value>& pods, int replicas, int status_replicas)
      : type_(JsonText(spec, "type")),
        answer_(answer),
        fallback_(fallback),
        pods_(pods),
        replicas_(replicas),
        status_replicas_(status_replicas) {
    const std::string field = type_ == "Pods"                ? "pods"
                              : type_ == "Object"            ? "object"
                              : type_ == "External"          ? "external"
                              : type_ == "ContainerResource" ? "containerResource"
                                                             : "resource";
    body_ = spec.Find(field);
  }

  MetricResult Read() {
    if (body_ == nullptr) return Unknown("the metric has no body");
    std::string_view name = JsonText(*body_, "metric.name");
    if (name.empty()) name = JsonText(*body_, "name");
    result_.explanation.name = Concat(type_, " metric ", name);
    if (type_ == "Resource" || type_ == "ContainerResource") return ReadResource();
    if (answer_.http_status != 200) return NoAnswer();
    if (type_ == "Pods") return ReadPods();
    return ReadTotal();
  }

 private:
  MetricResult Unknown(std::string why) {
    result_.explanation.notes.push_back(std::move(why));
    return std::move(result_);
  }
  void Note(std::string text) { result_.explanation.notes.push_back(std::move(text)); }

  MetricResult NoAnswer() {
    std::string why = answer_.http_status == 0
                          ? std::string("the metrics API did not answer")
                          : Concat("the metrics API answers ", answer_.http_status);
    if (!answer_.message.empty()) why += Concat(" (", answer_.message, ")");
    Note(Concat(why, " to ", answer_.path));
    if (!answer_.similar.empty()) {
      Note(Concat("there is a metric '", answer_.similar, "': name that one, with its unit"));
    }
    return std::move(result_);
  }

  MetricReading Reading(double target) const {
    MetricReading reading;
    reading.name = result_.explanation.name.substr(type_.size() + 8);
    reading.target = target;
    return reading;
  }

  MetricResult ReadPods() {
    const auto target = JsonQuantity(*body_, "target.averageValue");
    if (!target.has_value() || *target <= 0)
      return Unknown("its target is no averageValue above 0");
    std::map<std::string_view, double> value_of;
    for (const json::Value& item : JsonList(answer_.body, "items")) {
      const auto value = JsonQuantity(item, "value");
      if (value.has_value()) value_of[JsonText(item, "describedObject.name")] = *value;
    }
    MetricReading reading = Reading(*target);
    int pending = 0;
    std::string missing;
    std::string not_ready;
    for (const json::Value& pod : pods_) {
      const PodState state = StateOf(pod);
      const std::string_view name = JsonText(pod, "metadata.name");
      if (state == PodState::kIgnored) continue;
      if (state == PodState::kPending) {
        ++pending;
      } else if (const auto value = value_of.find(name); value == value_of.end()) {
        ++reading.missing_replicas;
        missing += Concat(missing.empty() ? "" : ", ", name);
      } else {
        reading.replica_values.push_back(value->second);
        if (state == PodState::kNotReady) not_ready += Concat(not_ready.empty() ? "" : ", ", name);
      }
    }
    if (reading.replica_values.empty()) {
      return Unknown(
          "no running pod of the target has a value (pods may be unready, or the source "
          "knows them by another label)");
    }
    const double mean = *reading.ValuePerReplica(replicas_);
    const bool up = mean > *target;
    Take(mean, *target);
    if (!missing.empty()) {
      Note(Concat("no value of ", missing, ": counted as ",
                  up ? "0, so as not to scale up too far"
                     : "at the target, so as not to scale down too far"));
    }
    if (pending > 0) {
      Note(Concat(Plural(pending, "pod is", "pods are"),
                  " Pending: ", up ? "counted as 0" : "left out"));
      if (up) reading.missing_replicas += pending;
    }
    if (!not_ready.empty()) {
      Note(Concat("not ready, but counted with its value: ", not_ready,
                  " (readiness matters to CPU metrics alone)"));
    }
    result_.reading = std::move(reading);
    return std::move(result_);
  }

  // Object and External: one value for all replicas.
  MetricResult ReadTotal() {
    double total = 0;
    const auto& items = JsonList(answer_.body, "items");
    for (const json::Value& item : items) {
      const auto value = JsonQuantity(item, "value");
      if (!value.has_value()) return Unknown("a value of the answer is no number");
      total += *value;
      if (type_ == "Object") break;
    }
    if (items.empty()) return Unknown("the metrics API answers with an empty list");
    if (const auto average = JsonQuantity(*body_, "target.averageValue")) {
      if (*average <= 0) return Unknown("its target is not above 0");
      MetricReading reading = Reading(*average);
      reading.total = total;
      Take(total / std::max(1, status_replicas_), *average);
      Note(Concat("a total of ", Number(total), " shared by ",
                  Plural(status_replicas_, "replica", "replicas"),
                  "; what it asks for does not depend on how many there are"));
      result_.reading = std::move(reading);
      return std::move(result_);
    }
    const auto target = JsonQuantity(*body_, "target.value");
    if (!target.has_value() || *target <= 0) return Unknown("its target is not above 0");
    return OfReadyPods(total, *target);
  }

  // target.type Value: the ratio times the pods that are ready.
  MetricResult OfReadyPods(double value, double target) {
    const int ready = CountPods(pods_).ready;
    Take(value, target);
    if (ready == 0) return Unknown("no pod is ready, so there is nothing to multiply");
    MetricReading reading = Reading(target);
    reading.replica_values.assign(static_cast<size_t>(ready), value);
    Note(Concat("multiplied by the ", Plural(ready, "pod", "pods"), " that are ready"));
    result_.reading = std::move(reading);
    return std::move(result_);
  }

  // What the controller computed last, because it needs every container's request.
  MetricResult ReadResource() {
    const bool utilization = JsonText(*body_, "target.type") == "Utilization";
    const std::string field = utilization ? "averageUtilization" : "averageValue";
    const auto target = JsonQuantity(*body_, "target." + field);
    const json::Value* status = nullptr;
    if (fallback_ != nullptr) {
      status = fallback_->Find(type_ == "Resource" ? "resource" : "containerResource");
    }
    const auto current =
        status == nullptr ? std::nullopt : JsonQuantity(*status, "current." + field);
    if (!target.has_value() || !current.has_value()) {
      return Unknown("the controller has not measured it yet");
    }
    Note("read from the autoscaler's status, as the controller measured it last");
    return OfReadyPods(*current, *target);
  }

  void Take(double current, double target) {
    result_.explanation.current = current;
    result_.explanation.target = target;
    result_.explanation.ratio = current / target;
  }

  const std::string type_;
  const MetricAnswer& answer_;
  const json::Value* const fallback_;
  const std::vector<json::Value>& pods_;
  const int replicas_;
  const int status_replicas_;
  const json::Value* body_ = nullptr;
  MetricResult result_;
};

}  // namespace

PodCount CountPods(const std::vector<json::Value>& pods) {
  PodCount count;
  for (const json::Value& pod : pods) {
    switch (StateOf(pod)) {
      case PodState::kReady:
        ++count.ready;
        break;
      case PodState::kNotReady:
        ++count.not_ready;
        break;
      case PodState::kPending:
        ++count.pending;
        break;
      case PodState::kIgnored:
        ++count.ignored;
        break;
    }
  }
  return count;
}

MetricResult ReadMetric(const json::Value& spec, const MetricAnswer& answer,
                        const json::Value* fallback, const std::vector<json::Value>& pods,
                        int replicas, int status_replicas,
                        const autoscaling::Tolerance& tolerance) {
  MetricResult result =
      MetricReader(spec, answer, fallback, pods, replicas, status_replicas).Read();
  if (!result.reading.has_value()) return result;
  const int of = result.reading->total.has_value() ? status_replicas : replicas;
  result.explanation.replicas = autoscaling::RecommendReplicas(*result.reading, of, tolerance);
  return result;
}

}  // namespace tepal::diagnosis
