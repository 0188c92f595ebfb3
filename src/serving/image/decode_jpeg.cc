#include <csetjmp>
#include <cstdio>  // jpeglib.h needs FILE and does not say so.

#include <jpeglib.h>

#include "core/base/text.h"
#include "serving/image/formats.h"

namespace tepal::image {
namespace {

// libjpeg reports a fatal error by a call that must not return.
struct ErrorManager {
  jpeg_error_mgr base;
  std::jmp_buf escape;
  char message[JMSG_LENGTH_MAX];
};

void OnError(j_common_ptr decoder) {
  auto* manager = reinterpret_cast<ErrorManager*>(decoder->err);
  decoder->err->format_message(decoder, manager->message);
  std::longjmp(manager->escape, 1);
}

void OnWarning(j_common_ptr, int) {}

uint8_t Multiply(uint8_t a, uint8_t b) { return static_cast<uint8_t>(a * b / 255); }

// Adobe's CMYK is stored inverted: 255 is no ink.
void AppendCmykRow(const std::vector<uint8_t>& row, int width, uint8_t* out) {
  for (int x = 0; x < width; ++x) {
    const uint8_t* cmyk = row.data() + static_cast<size_t>(x) * 4;
    for (int channel = 0; channel < 3; ++channel) *out++ = Multiply(cmyk[channel], cmyk[3]);
  }
}

}  // namespace

Result<Image> DecodeJpeg(std::span<const std::byte> file) {
  jpeg_decompress_struct decoder;
  ErrorManager errors;
  decoder.err = jpeg_std_error(&errors.base);
  errors.base.error_exit = OnError;
  errors.base.emit_message = OnWarning;
  // Declared before setjmp, so that longjmp passes over no constructor.
  Image image;
  std::vector<uint8_t> row;
  jpeg_create_decompress(&decoder);
  if (setjmp(errors.escape) != 0) {
    jpeg_destroy_decompress(&decoder);
    return InvalidArgument(Concat("not a readable JPEG file: ", std::string_view(errors.message)));
  }
  jpeg_mem_src(&decoder, reinterpret_cast<const unsigned char*>(file.data()), file.size());
  jpeg_read_header(&decoder, TRUE);
  const bool cmyk = decoder.jpeg_color_space == JCS_CMYK || decoder.jpeg_color_space == JCS_YCCK;
  decoder.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
  if (decoder.image_width > kDimensionMax || decoder.image_height > kDimensionMax) {
    const Status status =
        InvalidArgument(Concat("the photo is ", decoder.image_width, " x ", decoder.image_height,
                               " pixels; at most ", kDimensionMax, " each way are read"));
    jpeg_destroy_decompress(&decoder);
    return status;
  }
  jpeg_start_decompress(&decoder);
  image.width = static_cast<int>(decoder.output_width);
  image.height = static_cast<int>(decoder.output_height);
  const size_t stride = static_cast<size_t>(image.width) * 3;
  image.pixels.resize(stride * static_cast<size_t>(image.height));
  row.resize(static_cast<size_t>(image.width) * 4);
  while (decoder.output_scanline < decoder.output_height) {
    uint8_t* out = image.pixels.data() + stride * decoder.output_scanline;
    JSAMPROW line = cmyk ? row.data() : out;
    jpeg_read_scanlines(&decoder, &line, 1);
    if (cmyk) AppendCmykRow(row, image.width, out);
  }
  jpeg_finish_decompress(&decoder);
  jpeg_destroy_decompress(&decoder);
  return image;
}

}  // namespace tepal::image
