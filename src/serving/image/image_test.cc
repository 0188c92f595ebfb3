#include "serving/image/image.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

namespace tepal::image {
namespace {

Image Gradient(int width, int height) {
  Image image{width, height, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (const int value : {x * 255 / width, y * 255 / height, 128}) {
        image.pixels.push_back(static_cast<uint8_t>(value));
      }
    }
  }
  return image;
}

TEST(Image, PngComesBackAsItWentIn) {
  const Image image = Gradient(37, 21);
  const auto file = EncodePng(image);
  ASSERT_TRUE(file.ok());
  const auto again = Decode(*file);
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(again->width, 37);
  EXPECT_EQ(again->height, 21);
  EXPECT_EQ(again->pixels, image.pixels);
}

TEST(Image, RefusesWhatIsNoPhotoAndEveryTruncation) {
  const std::string text = "GIF89a not for us";
  EXPECT_FALSE(Decode(std::as_bytes(std::span(text))).ok());
  EXPECT_FALSE(Decode({}).ok());
  const auto file = EncodePng(Gradient(16, 16));
  ASSERT_TRUE(file.ok());
  for (size_t size = 0; size + 16 < file->size(); ++size) {
    EXPECT_FALSE(Decode(std::span(*file).first(size)).ok()) << size;
  }
}

TEST(Image, RefusesABrokenJpeg) {
  const std::string broken = "\xff\xd8\xff\xe0 and nothing more";
  const auto result = Decode(std::as_bytes(std::span(broken)));
  ASSERT_FALSE(result.ok());
  EXPECT_NE(result.status().message().find("JPEG"), std::string::npos);
}

TEST(Image, ResizeKeepsAFlatImageFlatAndAGradientInOrder) {
  Image flat{50, 40, std::vector<uint8_t>(50 * 40 * 3, 77)};
  for (const uint8_t value : Resize(flat, 13, 91).pixels) ASSERT_EQ(value, 77);

  const Image small = Resize(Gradient(400, 300), 40, 30);
  for (size_t x = 1; x < 40; ++x) {
    ASSERT_GE(small.pixels[x * 3], small.pixels[(x - 1) * 3]);
  }
  // The middle of the first output pixel is at 5 of 400: 255 * 4.5 / 400.
  EXPECT_NEAR(small.pixels[0], 3, 1);
}

TEST(Image, CropTakesTheMiddle) {
  const Image image = Gradient(10, 8);
  const Image cropped = CentreCrop(image, 4, 2);
  EXPECT_EQ(cropped.pixels[0], image.pixels[(3 * 10 + 3) * 3]);
  EXPECT_EQ(cropped.pixels.size(), 4u * 2 * 3);
}

TEST(Image, TensorIsNormalisedAndChannelsFirst) {
  Image red{4, 4, {}};
  for (int i = 0; i < 16; ++i) red.pixels.insert(red.pixels.end(), {255, 127, 0});
  const Buffer tensor = ToTensor(red, {.width = 2, .height = 2});
  ASSERT_EQ(tensor.size(), 12 * sizeof(float));
  float values[12];
  std::memcpy(values, tensor.data(), sizeof(values));
  EXPECT_FLOAT_EQ(values[0], 1.0F);
  EXPECT_FLOAT_EQ(values[4], 0.0F);
  EXPECT_FLOAT_EQ(values[8], -127.0F / 128.0F);
}

TEST(Image, TensorOfAnyShapeOfPhotoHasTheModelsSize) {
  for (const auto& [width, height] : {std::pair{96, 96}, {500, 224}, {224, 501}, {1, 900}}) {
    EXPECT_EQ(ToTensor(Gradient(width, height), {}).size(), 3u * 224 * 224 * sizeof(float));
  }
}

}  // namespace
}  // namespace tepal::image
