// Tensors for inputs that nobody has data for: zeros, random elements, or bytes given as a file.

#pragma once

#include <string_view>

#include "core/env/random.h"
#include "serving/client/infer_call.h"

namespace tepal::client {

// The shape to send: `wished`, or the declared one with every -1 as 1 when that is empty.
// kInvalidArgument when it does not fit the declaration or is too large.
Result<Shape> ShapeToSend(const TensorDeclaration& input, const Shape& wished);

// BYTES: empty strings.
Result<InferInput> ZeroInput(const TensorDeclaration& input, const Shape& shape);

// Reals in [0, 1), integers over their whole range, strings of letters.
Result<InferInput> RandomInput(const TensorDeclaration& input, const Shape& shape,
                               env::Random& random);

// `bytes` as they are; kInvalidArgument when they are not as many as the shape needs.
Result<InferInput> BytesInput(const TensorDeclaration& input, const Shape& shape,
                              std::string_view bytes);

}  // namespace tepal::client
