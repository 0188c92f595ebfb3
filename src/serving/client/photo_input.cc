#include "serving/client/photo_input.h"

#include <algorithm>

#include "core/base/text.h"

namespace tepal::client {

Result<image::Preprocessing> PreprocessingFor(const TensorDeclaration& input, float subtract,
                                              float divide) {
  const auto refuse = [&](std::string_view why) {
    return InvalidArgument(Concat("input '", input.name, "' is ", DataTypeName(input.type), " ",
                                  ShapeText(input.shape), ", which a photo cannot fill: ", why));
  };
  if (input.type != DataType::kFp32) return refuse("expected FP32");
  if (input.shape.size() != 3 && input.shape.size() != 4) {
    return refuse("expected 3 dimensions, or 4 with the batch");
  }
  const auto last = input.shape.end();
  image::Preprocessing how;
  how.subtract = subtract;
  how.divide = divide;
  how.channels_first = last[-3] == 3;
  if (!how.channels_first && last[-1] != 3) return refuse("expected three channels, first or last");
  const int64_t height = how.channels_first ? last[-2] : last[-3];
  const int64_t width = how.channels_first ? last[-1] : last[-2];
  if (height < 1 || width < 1 || height > image::kDimensionMax || width > image::kDimensionMax) {
    return refuse("expected a fixed height and width");
  }
  how.height = static_cast<int>(height);
  how.width = static_cast<int>(width);
  return how;
}

InferInput PhotoInput(const TensorDeclaration& input, const image::Image& photo,
                      const image::Preprocessing& preprocessing) {
  InferInput tensor{input.name, input.type, input.shape, image::ToTensor(photo, preprocessing)};
  if (tensor.shape.size() == 4) tensor.shape.front() = 1;
  return tensor;
}

}  // namespace tepal::client
