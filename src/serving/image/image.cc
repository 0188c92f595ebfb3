#include "serving/image/image.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/base/text.h"
#include "serving/image/formats.h"

namespace tepal::image {
namespace {

// One output sample: the input samples it is made of.
struct Taps {
  int begin = 0;
  std::vector<float> weights;  // Sum to 1.
};

// A triangle filter over the input, stretched when the image shrinks, so that every input pixel
// counts (Pillow's Resample.c uses the same support and centres).
std::vector<Taps> TriangleTaps(int input, int output) {
  const double scale = static_cast<double>(input) / output;
  const double support = std::max(scale, 1.0);
  std::vector<Taps> all(static_cast<size_t>(output));
  for (int i = 0; i < output; ++i) {
    const double centre = (i + 0.5) * scale;
    const int begin = std::max(0, static_cast<int>(centre - support + 0.5));
    const int end = std::min(input, static_cast<int>(centre + support + 0.5));
    Taps& taps = all[static_cast<size_t>(i)];
    taps.begin = begin;
    float sum = 0;
    for (int at = begin; at < end; ++at) {
      const double distance = std::abs((at + 0.5 - centre) / support);
      const auto weight = static_cast<float>(std::max(0.0, 1.0 - distance));
      taps.weights.push_back(weight);
      sum += weight;
    }
    for (float& weight : taps.weights) weight /= sum;
  }
  return all;
}

uint8_t ToByte(float value) {
  return static_cast<uint8_t>(std::clamp(std::lround(value), 0L, 255L));
}

Image ResizeWidth(const Image& image, int width) {
  const std::vector<Taps> taps = TriangleTaps(image.width, width);
  Image out{width, image.height, {}};
  out.pixels.resize(static_cast<size_t>(width) * static_cast<size_t>(image.height) * 3);
  for (int y = 0; y < image.height; ++y) {
    const uint8_t* row =
        image.pixels.data() + static_cast<size_t>(y) * static_cast<size_t>(image.width) * 3;
    uint8_t* to = out.pixels.data() + static_cast<size_t>(y) * static_cast<size_t>(width) * 3;
    for (const Taps& tap : taps) {
      float sum[3] = {0, 0, 0};
      const uint8_t* from = row + static_cast<size_t>(tap.begin) * 3;
      for (const float weight : tap.weights) {
        for (int channel = 0; channel < 3; ++channel) {
          sum[channel] += weight * static_cast<float>(*from++);
        }
      }
      for (const float value : sum) *to++ = ToByte(value);
    }
  }
  return out;
}

Image ResizeHeight(const Image& image, int height) {
  const std::vector<Taps> taps = TriangleTaps(image.height, height);
  const size_t stride = static_cast<size_t>(image.width) * 3;
  Image out{image.width, height, {}};
  out.pixels.resize(stride * static_cast<size_t>(height));
  std::vector<float> sum(stride);
  for (int y = 0; y < height; ++y) {
    const Taps& tap = taps[static_cast<size_t>(y)];
    std::fill(sum.begin(), sum.end(), 0.0F);
    for (size_t k = 0; k < tap.weights.size(); ++k) {
      const uint8_t* row = image.pixels.data() + (static_cast<size_t>(tap.begin) + k) * stride;
      for (size_t x = 0; x < stride; ++x) sum[x] += tap.weights[k] * static_cast<float>(row[x]);
    }
    uint8_t* to = out.pixels.data() + static_cast<size_t>(y) * stride;
    for (size_t x = 0; x < stride; ++x) to[x] = ToByte(sum[x]);
  }
  return out;
}

// The largest part of the image with the proportions of width x height. Cropping before resizing
// keeps a very long photo from growing.
Image CropToProportions(const Image& image, int width, int height) {
  const double scale = std::min(static_cast<double>(image.width) / width,
                                static_cast<double>(image.height) / height);
  return CentreCrop(image, std::clamp(static_cast<int>(std::lround(width * scale)), 1, image.width),
                    std::clamp(static_cast<int>(std::lround(height * scale)), 1, image.height));
}

}  // namespace

Result<Image> Decode(std::span<const std::byte> file) {
  const auto starts_with = [&](std::string_view magic) {
    return file.size() >= magic.size() && std::memcmp(file.data(), magic.data(), magic.size()) == 0;
  };
  if (starts_with("\xff\xd8\xff")) return DecodeJpeg(file);
  if (starts_with("\x89PNG\r\n\x1a\n")) return DecodePng(file);
  return InvalidArgument("neither a JPEG nor a PNG file by its first bytes");
}

Image Resize(const Image& image, int width, int height) {
  Image narrowed = image.width == width ? image : ResizeWidth(image, width);
  return narrowed.height == height ? narrowed : ResizeHeight(narrowed, height);
}

Image CentreCrop(const Image& image, int width, int height) {
  TEPAL_CHECK(width <= image.width && height <= image.height);
  const int left = (image.width - width) / 2;
  const int top = (image.height - height) / 2;
  Image out{width, height, {}};
  const size_t stride = static_cast<size_t>(width) * 3;
  out.pixels.resize(stride * static_cast<size_t>(height));
  for (int y = 0; y < height; ++y) {
    const size_t from = (static_cast<size_t>(top + y) * static_cast<size_t>(image.width) +
                         static_cast<size_t>(left)) *
                        3;
    std::memcpy(out.pixels.data() + stride * static_cast<size_t>(y), image.pixels.data() + from,
                stride);
  }
  return out;
}

Buffer ToTensor(const Image& image, const Preprocessing& how) {
  const Image fitted =
      Resize(CropToProportions(image, how.width, how.height), how.width, how.height);
  const size_t area = static_cast<size_t>(how.width) * static_cast<size_t>(how.height);
  Buffer tensor = Buffer::Allocate(area * 3 * sizeof(float));
  auto* values = reinterpret_cast<float*>(tensor.data());
  for (size_t i = 0; i < area; ++i) {
    for (size_t channel = 0; channel < 3; ++channel) {
      const float value =
          (static_cast<float>(fitted.pixels[i * 3 + channel]) - how.subtract) / how.divide;
      values[how.channels_first ? channel * area + i : i * 3 + channel] = value;
    }
  }
  return tensor;
}

}  // namespace tepal::image
