#include "serving/kserve/shortest_float.h"

#include <array>
#include <bit>
#include <charconv>
#include <cstdint>
#include <cstring>

namespace tepal::kserve {
namespace {

// value = digits * 10^exponent.
struct Decimal {
  uint32_t digits;
  int exponent;
};

constexpr int kPowerMax = 11;
// 10^n shifted up until the highest bit is set.
constexpr auto kPowers = [] {
  std::array<uint64_t, kPowerMax + 1> powers{};
  uint64_t power = 1;
  for (uint64_t& shifted : powers) {
    shifted = power << std::countl_zero(power);
    power *= 10;
  }
  return powers;
}();

constexpr int FloorLog2Pow10(int power) { return (power * 1741647) >> 19; }

// The top of power * factor; its last bit also stands for all that is cut off.
uint32_t RoundToOdd(uint64_t power, uint32_t factor) {
  const uint64_t low = (power & UINT32_MAX) * factor;
  const uint64_t top = (power >> 32) * factor + (low >> 32);
  return static_cast<uint32_t>(top >> 32) |
         static_cast<uint32_t>(static_cast<uint32_t>(top) > 1 ? 1 : 0);
}

// Names as in the paper: c * 2^q is the value, s its scaled decimal, all four times as large.
Decimal ShortestDecimal(uint32_t fraction, uint32_t biased_exponent) {
  const uint32_t c = fraction | 1u << 23;
  const int q = static_cast<int>(biased_exponent) - 150;
  const bool closer_below = fraction == 0;  // A power of two: the next float below is nearer.
  const int k = (q * 1262611 - (closer_below ? 524031 : 0)) >> 22;
  const int h = q + FloorLog2Pow10(-k) + 1;
  const uint64_t power = kPowers[static_cast<size_t>(-k)];
  const uint32_t odd = c & 1;  // Halfway points read back as the even neighbour.
  const uint32_t lower = RoundToOdd(power, (4 * c - (closer_below ? 1 : 2)) << h) + odd;
  const uint32_t value = RoundToOdd(power, 4 * c << h);
  const uint32_t upper = RoundToOdd(power, (4 * c + 2) << h) - odd;

  const uint32_t s = value / 4;
  const uint32_t tens = s / 10;
  const bool below_fits = lower <= 40 * tens, above_fits = 40 * tens + 40 <= upper;
  const bool s_fits = lower <= 4 * s, next_fits = 4 * s + 4 <= upper;
  const uint32_t middle = 4 * s + 2;
  const bool nearer = (value > middle) | ((value == middle) & ((s & 1) != 0));
  const bool up = s_fits != next_fits ? next_fits : nearer;
  // Chosen without branches: which one it is looks random to the processor.
  const bool shorter = below_fits != above_fits;
  const uint32_t tens_or_s = shorter ? tens : s, one = shorter ? above_fits : up;
  return {tens_or_s + one, k + (shorter ? 1 : 0)};
}

constexpr int kDecimalsMax = 12;
constexpr auto kTens = [] {
  std::array<uint64_t, kDecimalsMax + 1> tens{1};
  for (size_t i = 1; i < tens.size(); ++i) tens[i] = tens[i - 1] * 10;
  return tens;
}();
constexpr auto kPairs = [] {
  std::array<std::array<char, 2>, 100> pairs{};
  for (unsigned i = 0; i < pairs.size(); ++i) {
    pairs[i] = {static_cast<char>('0' + i / 10), static_cast<char>('0' + i % 10)};
  }
  return pairs;
}();

void WriteSixDigits(char* out, uint32_t value) {
  std::memcpy(out, kPairs[value / 10'000].data(), 2);
  std::memcpy(out + 2, kPairs[value / 100 % 100].data(), 2);
  std::memcpy(out + 4, kPairs[value % 100].data(), 2);
}

}  // namespace

char* WriteShortest(char* out, float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const float magnitude = std::bit_cast<float>(bits & 0x7fffffff);
  if (!(magnitude >= 0.001f && magnitude < (1 << 24))) return nullptr;
  auto [digits, exponent] = ShortestDecimal(bits & 0x7fffff, (bits >> 23) & 0xff);
  while (digits % 10 == 0) {
    digits /= 10;
    ++exponent;
  }
  if (exponent >= 0) return nullptr;

  *out = '-';
  out += bits >> 31;
  const auto decimals = static_cast<size_t>(-exponent);
  // Whole numbers below 2^24 are floats, so no other float's decimal reaches one.
  const auto whole = static_cast<uint32_t>(magnitude);
  if (whole < 10) {
    *out++ = static_cast<char>('0' + whole);
  } else {
    out = std::to_chars(out, out + kDecimalsMax, whole).ptr;
  }
  *out++ = '.';
  // As many decimals as there can be, without a branch on how many there are.
  const uint64_t fraction = (digits - whole * kTens[decimals]) * kTens[kDecimalsMax - decimals];
  WriteSixDigits(out, static_cast<uint32_t>(fraction / 1'000'000));
  WriteSixDigits(out + 6, static_cast<uint32_t>(fraction % 1'000'000));
  return out + decimals;
}

}  // namespace tepal::kserve
