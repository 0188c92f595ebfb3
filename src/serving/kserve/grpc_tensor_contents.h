// InferTensorContents: the elements of a tensor in the list of their type, as a message has them.

#pragma once

#include <string_view>

#include "core/base/result.h"
#include "core/buffer/buffer.h"
#include "serving/tensor/data_type.h"

namespace tepal::kserve {

// The elements as a tensor's bytes. kInvalidArgument for a list of another type, and for an integer
// that does not fit; `tensor` and `model` are for the text.
Result<Buffer> ReadTensorContents(std::string_view contents, DataType type, std::string_view tensor,
                                  std::string_view model);

}  // namespace tepal::kserve
