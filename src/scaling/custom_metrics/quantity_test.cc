// Numbers as quantities: nothing that is not 0 becomes 0.

#include "scaling/custom_metrics/quantity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>
#include <string>

#include "core/env/random.h"

namespace tepal::custom_metrics {
namespace {

TEST(QuantityTest, WholeNumbersArePlain) {
  EXPECT_EQ(QuantityText(0), "0");
  EXPECT_EQ(QuantityText(-0.0), "0");
  EXPECT_EQ(QuantityText(42), "42");
  EXPECT_EQ(QuantityText(-7), "-7");
  EXPECT_EQ(QuantityText(2000), "2000");
  EXPECT_EQ(QuantityText(2.9999999999), "3");
}

TEST(QuantityTest, OthersAreThousandths) {
  EXPECT_EQ(QuantityText(1.5), "1500m");
  EXPECT_EQ(QuantityText(0.001), "1m");
  EXPECT_EQ(QuantityText(0.05), "50m");
  EXPECT_EQ(QuantityText(-1.25), "-1250m");
  EXPECT_EQ(QuantityText(33.333333), "33333m");
}

TEST(QuantityTest, TheTinyIsNotNothing) {
  EXPECT_EQ(QuantityText(0.00025), "250u");
  EXPECT_EQ(QuantityText(1.5e-7), "150n");
  EXPECT_EQ(QuantityText(1e-30), "1n");
  EXPECT_EQ(QuantityText(-1e-30), "-1n");
  EXPECT_EQ(QuantityText(std::numeric_limits<double>::denorm_min()), "1n");
  EXPECT_EQ(QuantityText(0.0009999999999), "1m");
}

TEST(QuantityTest, TheHugeEndsWhereAQuantityDoes) {
  EXPECT_EQ(QuantityText(1e15), "1000000000000000");
  EXPECT_EQ(QuantityText(1e18), "1000000000000000000");
  EXPECT_EQ(QuantityText(1e19), "9223372036854775807");
  EXPECT_EQ(QuantityText(-1e300), "-9223372036854775807");
}

TEST(QuantityTest, ReadsBackAsNearlyTheSame) {
  env::SeededRandom random(7);
  for (int i = 0; i < 100'000; ++i) {
    const double value = std::ldexp(random.Unit() - 0.5, static_cast<int>(random.Below(80)) - 20);
    const std::string text = QuantityText(value);
    const double unit = text.ends_with("n") ? 1e-9 : text.ends_with("u") ? 1e-6 : 1e-3;
    const double read = ParseQuantity(text).value_or(std::nan(""));
    EXPECT_NEAR(read, value, std::max(std::abs(value) * 1e-12, unit < 1e-3 ? 1e-9 : 0.0005001))
        << text;
    if (value != 0) {
      EXPECT_NE(read, 0) << value;
    }
  }
}

TEST(QuantityTest, ReadsWhatOthersWrite) {
  EXPECT_EQ(ParseQuantity("64Mi"), 64 * 1024 * 1024);
  EXPECT_EQ(ParseQuantity("5e3"), 5000);
  EXPECT_EQ(ParseQuantity("+2k"), 2000);
  EXPECT_EQ(ParseQuantity("-1500m"), -1.5);
  for (const char* none : {"", "m", "1x", "one", "1 m", "1e999"}) {
    EXPECT_EQ(ParseQuantity(none), std::nullopt) << none;
  }
}

}  // namespace
}  // namespace tepal::custom_metrics
