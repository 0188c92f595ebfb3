#include "serving/kserve/shortest_float.h"

#include <gtest/gtest.h>

#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

namespace tepal::kserve {
namespace {

std::string Shortest(float value) {
  char text[32];
  const char* end = WriteShortest(text, value);
  return end == nullptr ? "" : std::string(text, static_cast<size_t>(end - text));
}

TEST(ShortestFloat, IsWhatTheStandardLibraryWrites) {
  const auto least = std::bit_cast<uint32_t>(0.001f);
  const auto end = std::bit_cast<uint32_t>(16'777'216.0f);
  constexpr uint32_t kStep = 997;  // Of 2^28 floats; all of them were compared once.
  for (uint32_t bits = least; bits < end; bits += kStep) {
    const auto value = std::bit_cast<float>(bits);
    if (value == std::trunc(value)) continue;
    char text[32];
    const std::string expected(text, std::to_chars(text, text + sizeof(text), value).ptr);
    ASSERT_EQ(Shortest(value), expected) << bits;
    ASSERT_EQ(Shortest(-value), "-" + expected) << bits;
  }
}

TEST(ShortestFloat, KnowsPowersOfTwo) {
  for (int power = -9; power < 0; ++power) {
    const float value = std::ldexp(1.0f, power);
    char text[32];
    EXPECT_EQ(Shortest(value),
              std::string(text, std::to_chars(text, text + sizeof(text), value).ptr));
  }
}

TEST(ShortestFloat, RefusesOtherMagnitudes) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const float value : {0.0f, 0.0009f, 1e-30f, 16'777'216.0f, 1e30f, kInfinity,
                            std::numeric_limits<float>::quiet_NaN()}) {
    EXPECT_EQ(Shortest(value), "") << value;
    EXPECT_EQ(Shortest(-value), "") << value;
  }
}

}  // namespace
}  // namespace tepal::kserve
