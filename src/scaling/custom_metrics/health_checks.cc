#include "scaling/custom_metrics/health_checks.h"

#include <algorithm>

#include "core/base/text.h"

namespace tepal::custom_metrics {
namespace {

HealthAnswer AnswerOne(const std::string& name, const Status& status) {
  if (status.ok()) return {200, "ok"};
  return {500, Concat("internal server error: ", name, ": ", status.message(), "\n")};
}

}  // namespace

HealthAnswer AnswerHealth(const ApiRequest& request,
                          const std::vector<std::pair<std::string, Status>>& checks) {
  std::string text;
  bool good = true;
  for (const auto& [name, status] : checks) {
    if (!request.check.empty()) {
      if (name == request.check) return AnswerOne(name, status);
      continue;
    }
    const bool excluded =
        std::find(request.excluded.begin(), request.excluded.end(), name) != request.excluded.end();
    if (excluded) {
      text += Concat("[+]", name, " excluded: ok\n");
      continue;
    }
    good = good && status.ok();
    // Also strangers may ask, so the reason is in the log and not here.
    text += status.ok() ? Concat("[+]", name, " ok\n")
                        : Concat("[-]", name, " failed: reason withheld\n");
  }
  if (!request.check.empty()) return {404, "404 page not found\n"};
  if (!good) return {500, Concat(text, request.name, " check failed\n")};
  if (!request.verbose) return {200, "ok"};
  return {200, Concat(text, request.name, " check passed\n")};
}

}  // namespace tepal::custom_metrics
