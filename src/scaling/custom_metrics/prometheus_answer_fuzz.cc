// Whatever bytes come in, an answer is read or refused with a message.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "scaling/custom_metrics/prometheus_answer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)tepal::custom_metrics::ReadSeriesAnswer(text).ok();
  (void)tepal::custom_metrics::ReadQueryAnswer(text).ok();
  (void)tepal::custom_metrics::WindowOfQuery(text).has_value();
  return 0;
}
