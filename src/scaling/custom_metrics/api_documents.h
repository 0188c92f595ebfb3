// What the API says about itself: groups, resources, OpenAPI, version. Pure.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "scaling/custom_metrics/metric_source.h"

namespace tepal::custom_metrics {

// What there is to ask for.
struct Catalog {
  std::vector<MetricInfo> objects;
  bool with_external = false;  // Whether external.metrics.k8s.io is served at all.
  std::vector<std::string> external;
};

// The versions of a group, preferred first; empty: it is not one of ours.
std::vector<std::string_view> VersionsOf(std::string_view group);

std::string GroupsText(bool with_external);     // APIGroupList
std::string GroupText(std::string_view group);  // APIGroup
std::string ResourcesText(std::string_view group, std::string_view version,
                          const Catalog& catalog);  // APIResourceList
// APIGroupDiscoveryList; `api_version` is v2 or v2beta1.
std::string AggregatedText(std::string_view api_version, const Catalog& catalog);

std::string OpenApiV2Text(bool with_external);
std::string OpenApiV3IndexText(bool with_external);
std::string OpenApiV3Text(std::string_view group, std::string_view version);

std::string VersionText(std::string_view version);
std::string PathsText(bool with_external);  // What "/" lists.

}  // namespace tepal::custom_metrics
