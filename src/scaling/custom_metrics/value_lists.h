// Values as the API sends them: MetricValueList and ExternalMetricValueList. Pure.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "scaling/custom_metrics/label_selector.h"
#include "scaling/custom_metrics/metric_source.h"
#include "scaling/custom_metrics/object_kinds.h"

namespace tepal::custom_metrics {

// `version`: v1beta1 (metricName, window) or v1beta2 (metric, windowSeconds).
std::string ObjectValuesText(std::string_view version, const ObjectKind& kind,
                             std::string_view name_space, std::string_view metric,
                             const LabelSelector& metric_selector,
                             const std::vector<ObjectValue>& values);

std::string ExternalValuesText(std::string_view metric, const std::vector<ExternalValue>& values);

}  // namespace tepal::custom_metrics
