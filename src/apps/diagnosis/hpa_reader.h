// Fetches from a cluster what hpa_explanation.h explains: the HPA, its target's scale, the pods,
// the metrics as the controller asks for them, and the HPA's events.
//
// Reads only. What may not be read is part of what is handed on, with the server's words.

#pragma once

#include <string>

#include "apps/diagnosis/hpa_explanation.h"
#include "core/base/function.h"
#include "core/base/result.h"
#include "network/kube/client.h"

namespace tepal::diagnosis {

// `done` runs once, on the client's loop, unless the client is destroyed before. An error only when
// the HPA itself cannot be read.
void ReadHpa(kube::Client& client, std::string name_space, std::string name,
             Function<void(Result<HpaInputs>)> done);

// "/apis/apps/v1/namespaces/default/deployments/web/scale"; pure.
std::string ScalePath(const json::Value& hpa);

// Where the controller asks for one metric of spec.metrics, with its query; empty for Resource
// metrics, which it asks elsewhere. `pods`: the label selector of the target's pods;
// `custom_version`: of custom.metrics.k8s.io. Pure.
struct MetricRequest {
  std::string path, query;
};
MetricRequest MetricRequestOf(const json::Value& spec, const std::string& name_space,
                              const std::string& pods, const std::string& custom_version);

}  // namespace tepal::diagnosis
