#include "serving/kserve/infer_request.h"

#include <charconv>

#include "core/base/text.h"
#include "serving/kserve/raw_request.h"
#include "serving/kserve/request_reader.h"

namespace tepal::kserve {

const AnswerForm::Output* AnswerForm::Find(std::string_view name) const {
  for (const Output& output : outputs) {
    if (output.name == name) return &output;
  }
  return nullptr;
}

Result<size_t> JsonSize(std::optional<std::string_view> header, size_t body_size) {
  if (!header.has_value()) return body_size;
  int64_t size = 0;
  const std::string_view text = Trim(*header);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
  if (error == std::errc::result_out_of_range || size < 0 ||
      static_cast<uint64_t>(size) > body_size) {
    return InvalidArgument(
        Concat("inference header size should be in range (0, ", body_size, "), got: ", *header));
  }
  return static_cast<size_t>(size);
}

Status ReadInferRequest(const Buffer& body, size_t json_size, const ModelConfig& model,
                        InferenceRequest& request, AnswerForm& form, RegionMemory* regions) {
  if (json_size == 0) {
    form.binary = true;
    return ReadRawRequest(body, model, request);
  }
  return RequestReader(body, json_size, model, request, form, regions).Read();
}

}  // namespace tepal::kserve
