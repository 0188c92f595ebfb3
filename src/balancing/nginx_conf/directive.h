// The syntax of nginx.conf: words, quotes, comments, ';' and '{ }'. Nothing here knows what a
// directive means.
//
// Pure: text in, a tree out. Sizes are bounded, because the text may be anybody's.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"

namespace tepal::nginx_conf {

struct Directive {
  std::string name;
  std::vector<std::string> words;  // After the name, without quotes.
  int line = 1;                    // Where the name stands, counted from 1.
  bool has_block = false;
  std::vector<Directive> block;
};

inline constexpr size_t kBytesMax = 1 << 20;
inline constexpr int kDepthMax = 32;
inline constexpr size_t kDirectivesMax = 50'000;
inline constexpr size_t kWordsMax = 1000;  // Of one directive.

// kInvalidArgument "FILE:LINE: what".
Result<std::vector<Directive>> ParseDirectives(std::string_view text, const std::string& file);

}  // namespace tepal::nginx_conf
