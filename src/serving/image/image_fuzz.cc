// Photos come from outside: no bytes may crash a decoder.

#include <cstddef>
#include <cstdint>

#include "serving/image/image.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto image = tepal::image::Decode({reinterpret_cast<const std::byte*>(data), size});
  if (image.ok() && image->width < 2000 && image->height < 2000) {
    (void)tepal::image::ToTensor(*image, {.width = 8, .height = 8});
  }
  return 0;
}
