// Photos as models want them: decoded, resized, cropped, normalised.
//
// Knows nothing of models: what a model expects (size, layout, scale) comes in as Preprocessing.
// All functions are pure and may run on any thread.

#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/buffer/buffer.h"

namespace tepal::image {

// Interleaved 8-bit RGB, rows from the top, no padding.
struct Image {
  int width = 0;
  int height = 0;
  std::vector<uint8_t> pixels;  // width * height * 3.
};

// Width or height above this is refused before memory is taken.
inline constexpr int kDimensionMax = 16384;

// JPEG or PNG, by its first bytes; grey, palette, CMYK and alpha become RGB (alpha is dropped).
// kInvalidArgument for anything else and for broken files.
Result<Image> Decode(std::span<const std::byte> file);

// Area-averaging bilinear (a triangle filter as wide as the reduction), as Pillow's BILINEAR.
Image Resize(const Image& image, int width, int height);

// The middle width x height; both at most the image's.
Image CentreCrop(const Image& image, int width, int height);

struct Preprocessing {
  int width = 224;
  int height = 224;
  bool channels_first = true;  // NCHW; otherwise NHWC.
  float subtract = 127.0F;     // (x - subtract) / divide, for every channel.
  float divide = 128.0F;
};

// The middle in the model's proportions, resized (so the short side fits), the values normalised:
// FP32, one image without a batch dimension, 3 * width * height values.
Buffer ToTensor(const Image& image, const Preprocessing& preprocessing);

// PNG file bytes.
Result<std::vector<std::byte>> EncodePng(const Image& image);

}  // namespace tepal::image
