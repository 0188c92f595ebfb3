// A programmer's mistake stops the program, in release builds too.

#pragma once

namespace tepal {

// Prints the condition with its place and aborts.
[[noreturn]] void CheckFailed(const char* condition, const char* file, int line);

}  // namespace tepal

#define TEPAL_CHECK(condition)                              \
  do {                                                      \
    if (!(condition)) [[unlikely]] {                        \
      ::tepal::CheckFailed(#condition, __FILE__, __LINE__); \
    }                                                       \
  } while (false)
