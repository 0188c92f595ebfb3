#include <gtest/gtest.h>

#include <limits>

#include "serving/tensor/data_type.h"
#include "serving/tensor/shape.h"

namespace tepal {
namespace {

TEST(DataTypeTest, NamesReadBack) {
  for (int i = 1; i <= 14; ++i) {
    const auto type = static_cast<DataType>(i);
    EXPECT_EQ(DataTypeFromName(DataTypeName(type)), type) << i;
  }
  EXPECT_EQ(DataTypeName(DataType::kFp32), "FP32");
  EXPECT_EQ(DataTypeName(DataType::kBf16), "BF16");
  EXPECT_EQ(DataTypeName(DataType::kInvalid), "<invalid>");
  EXPECT_EQ(DataTypeName(static_cast<DataType>(99)), "<invalid>");
  EXPECT_EQ(DataTypeName(static_cast<DataType>(-1)), "<invalid>");
}

TEST(DataTypeTest, ReadsTheConfigurationsNames) {
  EXPECT_EQ(DataTypeFromName("TYPE_FP32"), DataType::kFp32);
  EXPECT_EQ(DataTypeFromName("TYPE_STRING"), DataType::kBytes);
  EXPECT_EQ(DataTypeFromName("BYTES"), DataType::kBytes);
  for (const char* wrong : {"", "fp32", "FP128", "TYPE_", "TYPE_BYTES", "STRING", "<invalid>"}) {
    EXPECT_EQ(DataTypeFromName(wrong), std::nullopt) << wrong;
  }
}

TEST(DataTypeTest, Sizes) {
  const size_t expected[] = {0, 1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 4, 8, 0, 2};
  for (int i = 0; i <= 14; ++i) {
    EXPECT_EQ(DataTypeSize(static_cast<DataType>(i)), expected[i]) << i;
  }
}

TEST(ShapeTest, Text) {
  EXPECT_EQ(ShapeText(Shape{}), "[]");
  EXPECT_EQ(ShapeText(Shape{-1, 3, 224}), "[-1,3,224]");
}

TEST(ShapeTest, ElementCount) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(ElementCount(Shape{}), 1);
  EXPECT_EQ(ElementCount(Shape{2, 3, 4}), 24);
  EXPECT_EQ(ElementCount(Shape{kMax}), kMax);
  EXPECT_EQ(ElementCount(Shape{kMax, 2}), std::nullopt);
  EXPECT_EQ(ElementCount(Shape{kMax, 2, 0}), 0);
  EXPECT_EQ(ElementCount(Shape{0, -1}), std::nullopt);
  EXPECT_EQ(ElementCount(Shape{-1}), std::nullopt);
}

TEST(ShapeTest, Matches) {
  EXPECT_TRUE(ShapeMatches(Shape{-1, 3}, Shape{7, 3}));
  EXPECT_TRUE(ShapeMatches(Shape{}, Shape{}));
  EXPECT_FALSE(ShapeMatches(Shape{-1, 3}, Shape{7, 4}));
  EXPECT_FALSE(ShapeMatches(Shape{3}, Shape{3, 1}));
}

}  // namespace
}  // namespace tepal
