#include "serving/client/tensor_input.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

namespace tepal::client {
namespace {

TEST(TensorInput, OpenDimensionsBecomeOne) {
  const TensorDeclaration input{"x", DataType::kFp32, {-1, 3}};
  const auto zero = ZeroInput(input, {});
  ASSERT_TRUE(zero.ok());
  EXPECT_EQ(zero->shape, (Shape{1, 3}));
  EXPECT_EQ(zero->data.text(), std::string(12, '\0'));
  EXPECT_EQ(ZeroInput(input, {5, 3})->data.size(), 60u);
  EXPECT_FALSE(ZeroInput(input, {5, 4}).ok());
  EXPECT_FALSE(ZeroInput(input, {int64_t{1} << 40, 3}).ok());
}

TEST(TensorInput, RandomElementsAreFiniteAndRepeatable) {
  for (const DataType type : {DataType::kFp32, DataType::kFp64, DataType::kBool, DataType::kInt64,
                              DataType::kFp16, DataType::kBf16, DataType::kBytes}) {
    const TensorDeclaration input{"x", type, {100}};
    env::SeededRandom random(7), same(7);
    const auto a = RandomInput(input, {}, random);
    const auto b = RandomInput(input, {}, same);
    ASSERT_TRUE(a.ok()) << DataTypeName(type);
    EXPECT_EQ(a->data.text(), b->data.text());
    EXPECT_NE(a->data.text(), RandomInput(input, {}, random)->data.text());
    for (size_t i = 0; i < 100 && type == DataType::kFp32; ++i) {
      float value = 0;
      std::memcpy(&value, a->data.data() + i * sizeof(value), sizeof(value));
      EXPECT_TRUE(value >= 0 && value < 1) << value;
    }
    if (type == DataType::kBytes) {
      EXPECT_EQ(ReadStrings(a->data)->size(), 100u);
    }
  }
}

TEST(TensorInput, BytesOfAFileMustFit) {
  const TensorDeclaration input{"x", DataType::kFp32, {2}};
  EXPECT_TRUE(BytesInput(input, {}, "12345678").ok());
  EXPECT_EQ(BytesInput(input, {}, "1234567").status().message(),
            "input 'x' FP32 [2]: got 7 bytes, expected 8");
}

}  // namespace
}  // namespace tepal::client
