// The shortest decimal that reads back as a given float32, for the magnitudes that most tensors
// hold. std::to_chars finds the same digits for every float in about three times the time.
//
// R. Giulietti, "The Schubfach way to render doubles" (2020), for 24 bits of precision; within
// these magnitudes every power of ten it needs is exact in 64 bits.

#pragma once

namespace tepal::kserve {

// The text of 0.001 <= value < 2^24, `value` no whole number, as std::to_chars has it. May use 24
// characters of `out`, and says where the text ends; null for any other value.
char* WriteShortest(char* out, float value);

}  // namespace tepal::kserve
