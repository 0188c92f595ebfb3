#include "scaling/custom_metrics/api_status.h"

#include "core/base/text.h"
#include "core/json/writer.h"

namespace tepal::custom_metrics {
namespace {

// As Go's %q for the names that occur here.
std::string Quoted(std::string_view text) {
  std::string out = "\"";
  json::AppendEscaped(out, text);
  return out + "\"";
}

// As the real thing: what it says may be shown by a browser.
std::string Sanitized(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string CannotText(std::string_view user, const RequestAttributes& asked) {
  const std::string who = Concat("User ", Quoted(user), " cannot ", asked.verb);
  if (!asked.is_resource) return Concat(who, " path ", Quoted(asked.path));
  const std::string resource =
      asked.subresource.empty() ? asked.resource : Concat(asked.resource, "/", asked.subresource);
  const std::string what =
      Concat(who, " resource ", Quoted(resource), " in API group ", Quoted(asked.group));
  return asked.name_space.empty() ? Concat(what, " at the cluster scope")
                                  : Concat(what, " in the namespace ", Quoted(asked.name_space));
}

}  // namespace

std::string ApiError::Text() const {
  json::Writer out;
  out.BeginObject();
  out.Key("kind").String("Status").Key("apiVersion").String("v1");
  out.Key("metadata").BeginObject().EndObject();
  out.Key("status").String("Failure").Key("message").String(message);
  if (!reason.empty()) out.Key("reason").String(reason);
  if (!name.empty() || !group.empty() || !kind.empty() || retry_after_s > 0) {
    out.Key("details").BeginObject();
    if (!name.empty()) out.Key("name").String(name);
    if (!group.empty()) out.Key("group").String(group);
    if (!kind.empty()) out.Key("kind").String(kind);
    if (retry_after_s > 0) out.Key("retryAfterSeconds").Int(retry_after_s);
    out.EndObject();
  }
  out.Key("code").Int(code);
  out.EndObject();
  return out.Take() + "\n";
}

ApiError UnauthorizedError() {
  ApiError error;
  error.code = 401;
  error.reason = error.message = "Unauthorized";
  return error;
}

ApiError ForbiddenError(std::string_view user, const RequestAttributes& asked,
                        std::string_view why) {
  ApiError error;
  error.code = 403;
  error.reason = "Forbidden";
  std::string said = Sanitized(CannotText(user, asked));
  if (!why.empty()) said += Concat(": ", why);
  if (asked.resource.empty()) {
    error.message = Concat("forbidden: ", said);
  } else {
    const std::string of = ToString(GroupResource{asked.group, asked.resource});
    error.message = asked.name.empty()
                        ? Concat(of, " is forbidden: ", said)
                        : Concat(of, " ", Quoted(asked.name), " is forbidden: ", said);
    error.name = asked.name;
    error.group = asked.group;
    error.kind = asked.resource;
  }
  return error;
}

ApiError PathNotFoundError() {
  ApiError error;
  error.code = 404;
  error.reason = "NotFound";
  error.message = "the server could not find the requested resource";
  return error;
}

ApiError MetricNotFoundError(const GroupResource& resource, std::string_view metric,
                             std::string_view name) {
  ApiError error;
  error.code = 404;
  error.reason = "NotFound";
  error.message = Concat("the server could not find the metric ", metric, " for ",
                         ToString(resource), name.empty() ? "" : " ", name);
  return error;
}

ApiError ExternalMetricNotFoundError(std::string_view metric) {
  ApiError error;
  error.code = 404;
  error.reason = "NotFound";
  error.message = Concat("the server could not find the metric ", metric, " for provided labels");
  return error;
}

ApiError BadRequestError(std::string message) {
  ApiError error;
  error.code = 400;
  error.reason = "BadRequest";
  error.message = std::move(message);
  return error;
}

ApiError MethodError() {
  ApiError error;
  error.code = 405;
  error.reason = "MethodNotAllowed";
  error.message = "the server does not allow this method on the requested resource";
  return error;
}

ApiError NotAcceptableError() {
  ApiError error;
  error.code = 406;
  error.reason = "NotAcceptable";
  error.message = "only the following media types are accepted: application/json";
  return error;
}

ApiError TooManyRequestsError() {
  ApiError error;
  error.code = 429;
  error.reason = "TooManyRequests";
  error.message = "Too many requests, please try again later.";
  error.retry_after_s = 1;
  return error;
}

ApiError TimeoutError() {
  ApiError error;
  error.code = 504;
  error.reason = "Timeout";
  error.message = "Timeout: request did not complete within the allotted timeout";
  return error;
}

ApiError InternalError(std::string_view what) {
  ApiError error;
  error.reason = "InternalError";
  error.message = Concat("Internal error occurred: ", what);
  return error;
}

// Without Retry-After: with it the autoscaler's client tries ten times more before it gives up, and
// keeps one of its controller's five workers from every other autoscaler until then.
ApiError UnavailableError(std::string message) {
  ApiError error;
  error.code = 503;
  error.reason = "ServiceUnavailable";
  error.message = std::move(message);
  return error;
}

ApiError ErrorOf(const Status& status) {
  switch (status.code()) {
    case StatusCode::kInvalidArgument:
    case StatusCode::kOutOfRange:
      return BadRequestError(status.message());
    case StatusCode::kUnauthenticated:
      return UnauthorizedError();
    case StatusCode::kUnavailable:
    case StatusCode::kDeadlineExceeded:
    case StatusCode::kResourceExhausted:
    case StatusCode::kCancelled:
    case StatusCode::kAborted:
      return UnavailableError(status.message());
    default:
      return InternalError(status.message());
  }
}

}  // namespace tepal::custom_metrics
