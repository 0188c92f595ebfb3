// Feeds any bytes to the HTTP inference request reader: the first says how much of the rest is
// JSON.

#include <cstddef>
#include <cstdint>

#include "serving/kserve/infer_request.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tepal;
  if (size < 2) return 0;
  const Buffer body = Buffer::Copy({reinterpret_cast<const char*>(data) + 1, size - 1});
  const size_t json_size = data[0] == 0 ? 0 : body.size() - body.size() * (data[0] - 1) / 255;
  ModelConfig model;
  model.name = "m";
  model.inputs.resize(1);
  model.inputs[0] = {.name = "X", .type = DataType::kFp32, .dims = {-1}, .reshape = {}};
  InferenceRequest request;
  kserve::AnswerForm form;
  if (kserve::ReadInferRequest(body, json_size, model, request, form).ok()) {
    // A tensor never holds more than its text could have said.
    for (const InputTensor& input : request.inputs) {
      if (TotalSize(input.data) > body.size() * 8) __builtin_trap();
    }
  }
  return 0;
}
