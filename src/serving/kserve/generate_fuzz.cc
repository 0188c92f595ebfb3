// Feeds any bytes to the reader of generate requests.

#include <cstddef>
#include <cstdint>

#include "serving/kserve/generate.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tepal;
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  ModelConfig model;
  model.name = "m";
  model.max_batch_size = 4;
  model.inputs.resize(3);
  model.inputs[0] = {.name = "X", .type = DataType::kFp32, .dims = {-1}, .reshape = {}};
  model.inputs[1] = {.name = "S", .type = DataType::kBytes, .dims = {2, -1, -1}, .reshape = {}};
  model.inputs[2] = {.name = "I", .type = DataType::kInt8, .dims = {}, .reshape = {}};
  InferenceRequest request;
  if (kserve::ReadGenerateRequest(body, model, request).ok()) {
    // A tensor never holds more than its text could have said.
    for (const InputTensor& input : request.inputs) {
      if (TotalSize(input.data) > size * 8) __builtin_trap();
    }
  }
  return 0;
}
