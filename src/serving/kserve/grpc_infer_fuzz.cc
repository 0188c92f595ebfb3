// Feeds any bytes to the reader of ModelInferRequest.

#include <cstddef>
#include <cstdint>

#include "serving/kserve/grpc_infer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tepal;
  const Buffer message = Buffer::Copy({reinterpret_cast<const char*>(data), size});
  const auto parsed = kserve::GrpcInferRequest::Parse(message);
  if (!parsed.ok()) return 0;
  InferenceRequest request;
  kserve::AnswerForm form;
  if (parsed->Fill(request, form).ok()) {
    for (const InputTensor& input : request.inputs) {
      if (TotalSize(input.data) > size * sizeof(uint64_t)) __builtin_trap();
    }
  }
  return 0;
}
