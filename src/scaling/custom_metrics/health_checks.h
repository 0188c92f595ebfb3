// What /healthz, /livez and /readyz say. Pure.

#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "scaling/custom_metrics/api_request.h"

namespace tepal::custom_metrics {

struct HealthAnswer {
  int code = 200;
  std::string text;
};

// `checks`: by name, in order. kNotFound as code: the request asks for a check that there is not.
HealthAnswer AnswerHealth(const ApiRequest& request,
                          const std::vector<std::pair<std::string, Status>>& checks);

}  // namespace tepal::custom_metrics
