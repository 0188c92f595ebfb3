// Feeds any bytes to the readers of what a middleman wants to know.

#include <cstddef>
#include <cstdint>

#include "serving/kserve_wire/request_facts.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const tepal::RequestFacts facts = tepal::ReadGrpcInferRequest(bytes);
  if (facts.model.size() > size) __builtin_trap();
  (void)tepal::ReadInferJson("m", bytes);
  (void)tepal::ModelOfPath(bytes);
  return 0;
}
