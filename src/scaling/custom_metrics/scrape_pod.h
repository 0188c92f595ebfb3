// A pod as the direct source needs it: where its page is, whether it counts, whose it is.
//
// Read from the Kubernetes object; or said by a flag, for pods that no API server knows. Pure.

#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/env/network.h"
#include "core/json/value.h"
#include "scaling/custom_metrics/metric_source.h"

namespace tepal::custom_metrics {

// Where a pod's page is: a port by number, by the name that a container gives it, or by an
// annotation of the pod whose value is the number.
struct PortRule {
  uint16_t number = 0;  // 0: by name or annotation.
  std::string name;
  std::string annotation;

  // "8002", "metrics" or "annotation:prometheus.io/port".
  static Result<PortRule> Parse(std::string_view text);
};

struct ScrapePod {
  std::string name_space, name, uid;
  std::string ip;                       // Empty: none yet.
  std::optional<env::Address> address;  // Of its page.
  std::map<std::string, std::string> labels;
  std::vector<std::pair<GroupResource, std::string>> owners;  // Deployment, ReplicaSet, …
  bool ready = false;
  bool terminating = false;
  bool over = false;  // Succeeded or Failed.

  std::string key() const { return name_space + "/" + name; }
  // Whether its values are those of a replica that takes requests.
  bool counts() const { return ready && !terminating && !over; }
};

// Nothing for what is no pod.
std::optional<ScrapePod> ReadPod(const json::Value& object, const PortRule& port);

// `object` without what ReadPod does not look at: a pod is ten kilobytes and more, and a copy of
// each is kept.
json::Value TrimPod(const json::Value& object, const PortRule& port);

// "NAMESPACE/POD=HOST:PORT[,LABEL=VALUE]…", always ready.
Result<ScrapePod> ParseStaticPod(std::string_view text);

}  // namespace tepal::custom_metrics
