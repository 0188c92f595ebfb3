#include "serving/kserve/raw_request.h"

#include <cstring>

#include "core/base/text.h"

namespace tepal::kserve {
namespace {

Status NotDeducible(const InferenceRequest& request, std::string_view why) {
  return InvalidArgument(Concat(RequestIdPrefix(request), why));
}

// The element of a BYTES tensor that the body is.
BufferList OneString(const Buffer& body) {
  const auto size = static_cast<uint32_t>(body.size());
  Buffer prefix = Buffer::Allocate(sizeof(size));
  std::memcpy(prefix.data(), &size, sizeof(size));
  BufferList data = {std::move(prefix)};
  if (!body.empty()) data.push_back(body);
  return data;
}

}  // namespace

Status ReadRawRequest(const Buffer& body, const ModelConfig& model, InferenceRequest& request) {
  if (model.inputs.size() != 1) {
    return NotDeducible(
        request, Concat("Raw request must only have 1 input (found 1) to be deduced but got ",
                        model.inputs.size(), " inputs in '", model.name, "' model configuration"));
  }
  const ModelInput& declared = model.inputs.front();
  InputTensor input;
  input.name = declared.name;
  input.type = declared.type;
  if (model.max_batch_size > 0) input.shape.push_back(1);

  size_t open_dimension = 0;
  bool has_open = false;
  size_t elements = 1;
  for (const int64_t length : declared.dims) {
    if (length < 0) {
      if (has_open) {
        return NotDeducible(request, Concat("The shape of the raw input '", declared.name,
                                            "' can not be deduced because there are more than one "
                                            "variable-sized dimension"));
      }
      has_open = true;
      open_dimension = input.shape.size();
      input.shape.push_back(1);
    } else {
      elements *= static_cast<size_t>(length);
      input.shape.push_back(length);
    }
  }

  if (declared.type == DataType::kBytes) {
    if (elements != 1 || has_open) {
      return NotDeducible(request, Concat("For BYTE datatype raw input '", declared.name,
                                          "', the model must have input shape [1]"));
    }
    input.data = OneString(body);
  } else {
    const size_t row_bytes = elements * DataTypeSize(declared.type);
    size_t rows = 1;
    if (has_open) {
      rows = row_bytes == 0 ? 0 : body.size() / row_bytes;
      input.shape[open_dimension] = static_cast<int64_t>(rows);
    }
    if (rows * row_bytes != body.size()) {
      return NotDeducible(
          request, Concat("input byte size mismatch for input 'raw_input' for model '", model.name,
                          "'. Expected ", rows * row_bytes, ", got ", body.size()));
    }
    if (!body.empty()) input.data.push_back(body);
  }
  request.inputs.push_back(std::move(input));
  return {};
}

}  // namespace tepal::kserve
