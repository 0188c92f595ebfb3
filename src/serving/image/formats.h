// The decoders of single formats; callers use Decode in image.h.

#pragma once

#include "serving/image/image.h"

namespace tepal::image {

Result<Image> DecodeJpeg(std::span<const std::byte> file);
Result<Image> DecodePng(std::span<const std::byte> file);

}  // namespace tepal::image
