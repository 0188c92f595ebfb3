// The files that advice is made from, as bytes of anybody.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "partitioning/mig/advise.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)tepal::mig::ParseMeasurements(text, "fuzz.csv");
  (void)tepal::mig::ParseDemands(text, "fuzz.yaml");
  return 0;
}
