// The classification extension: an output answered as its best classes.

#pragma once

#include <cstdint>
#include <string_view>

#include "core/base/function.h"
#include "core/base/result.h"
#include "serving/inference/request.h"

namespace tepal::kserve {

// The label of a class of an output; empty without one.
using ClassLabels = Function<std::string_view(std::string_view output, size_t index)>;

// A BYTES tensor in place of `output`: for each row the `classes` largest elements as
// "value:index[:label]", largest first, the lower index first among equals. With `batched` the
// first dimension counts rows. kInvalidArgument for element types that have no order (BYTES, FP16).
Result<OutputTensor> Classify(const OutputTensor& output, uint64_t classes, bool batched,
                              ClassLabels& labels);

}  // namespace tepal::kserve
