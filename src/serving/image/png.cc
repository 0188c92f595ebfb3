#include <png.h>

#include "core/base/text.h"
#include "serving/image/formats.h"

namespace tepal::image {

Result<Image> DecodePng(std::span<const std::byte> file) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  if (png_image_begin_read_from_memory(&png, file.data(), file.size()) == 0) {
    return InvalidArgument(Concat("not a readable PNG file: ", std::string_view(png.message)));
  }
  if (png.width > kDimensionMax || png.height > kDimensionMax) {
    const Status status =
        InvalidArgument(Concat("the photo is ", png.width, " x ", png.height, " pixels; at most ",
                               kDimensionMax, " each way are read"));
    png_image_free(&png);
    return status;
  }
  png.format = PNG_FORMAT_RGBA;
  std::vector<uint8_t> rgba(PNG_IMAGE_SIZE(png));
  if (png_image_finish_read(&png, nullptr, rgba.data(), 0, nullptr) == 0) {
    return InvalidArgument(Concat("not a readable PNG file: ", std::string_view(png.message)));
  }
  Image image;
  image.width = static_cast<int>(png.width);
  image.height = static_cast<int>(png.height);
  image.pixels.reserve(rgba.size() / 4 * 3);
  for (size_t i = 0; i < rgba.size(); i += 4) {
    image.pixels.insert(image.pixels.end(), {rgba[i], rgba[i + 1], rgba[i + 2]});
  }
  return image;
}

Result<std::vector<std::byte>> EncodePng(const Image& image) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = static_cast<png_uint_32>(image.width);
  png.height = static_cast<png_uint_32>(image.height);
  png.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = 0;
  if (png_image_write_to_memory(&png, nullptr, &size, 0, image.pixels.data(), 0, nullptr) == 0) {
    return Internal(Concat("writing a PNG file: ", std::string_view(png.message)));
  }
  std::vector<std::byte> file(size);
  if (png_image_write_to_memory(&png, file.data(), &size, 0, image.pixels.data(), 0, nullptr) ==
      0) {
    return Internal(Concat("writing a PNG file: ", std::string_view(png.message)));
  }
  file.resize(size);
  return file;
}

}  // namespace tepal::image
