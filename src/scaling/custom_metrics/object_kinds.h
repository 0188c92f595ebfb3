// The kinds of objects that metrics are about, by their plural names. Pure.
//
// Those that everybody has are known here; of others the API server is asked (object_directory.h).

#pragma once

#include <string>
#include <vector>

#include "scaling/custom_metrics/metric_source.h"

namespace tepal::custom_metrics {

struct ObjectKind {
  GroupResource resource;
  std::string version;  // "v1".
  std::string kind;     // "Deployment".
  bool namespaced = true;
};

// Also by its singular, and without its group where there is one of that name only: "pod",
// "deployments". Null: not one of them.
const ObjectKind* FindObjectKind(const GroupResource& resource);

}  // namespace tepal::custom_metrics
