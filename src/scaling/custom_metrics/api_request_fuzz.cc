// Targets and Accept headers of any bytes; the first byte chooses.

#include <cstdint>
#include <cstdlib>
#include <string>

#include "scaling/custom_metrics/api_request.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using tepal::custom_metrics::ApiRequest;
  using tepal::custom_metrics::Negotiate;
  using tepal::custom_metrics::ParseApiRequest;
  using tepal::custom_metrics::RequestAttributes;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 4 == 0) {
    Negotiate(text, data[0] % 8 == 0);
    return 0;
  }
  const auto made = ParseApiRequest(data[0] % 4 == 1 ? "GET" : "DELETE", text);
  if (!made.ok()) {
    if (made.status().message().empty()) std::abort();
    return 0;
  }
  // What is answered is what is authorised.
  const RequestAttributes& asked = made->attributes;
  if (made->kind == ApiRequest::Kind::kObjects || made->kind == ApiRequest::Kind::kExternal) {
    if (!asked.is_resource || asked.group != made->group || asked.version != made->version) {
      std::abort();
    }
    if (made->metric.empty()) std::abort();
  }
  if (made->kind == ApiRequest::Kind::kExternal && asked.resource != made->metric) std::abort();
  if (made->kind == ApiRequest::Kind::kObjects && asked.subresource != made->metric &&
      !(asked.resource == "metrics" && asked.name == made->metric)) {
    std::abort();
  }
  return 0;
}
