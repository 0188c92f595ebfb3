// Errors of the API: Status objects in the words of Kubernetes' own servers. Pure.

#pragma once

#include <string>
#include <string_view>

#include "core/base/status.h"
#include "scaling/custom_metrics/api_request.h"

namespace tepal::custom_metrics {

struct ApiError {
  int code = 500;
  std::string reason;   // "NotFound", …; empty: none that has a name.
  std::string message;  // For a person.
  // What it is about; not written when all are empty.
  std::string name, group, kind;
  int retry_after_s = 0;  // 0: nothing is said about it.

  // The Status object.
  std::string Text() const;
};

ApiError UnauthorizedError();
// `why`: what the authoriser said; may be empty.
ApiError ForbiddenError(std::string_view user, const RequestAttributes& asked,
                        std::string_view why);
ApiError PathNotFoundError();
// Of all objects of a kind, or of one.
ApiError MetricNotFoundError(const GroupResource& resource, std::string_view metric,
                             std::string_view name = {});
ApiError ExternalMetricNotFoundError(std::string_view metric);
ApiError BadRequestError(std::string message);
ApiError MethodError();
ApiError NotAcceptableError();
ApiError TooManyRequestsError();
ApiError TimeoutError();
ApiError InternalError(std::string_view what);
ApiError UnavailableError(std::string message);

// What a source, a look-up or a review could not say.
ApiError ErrorOf(const Status& status);

}  // namespace tepal::custom_metrics
