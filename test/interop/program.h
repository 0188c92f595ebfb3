// What main() does in both programs: flags, then the work, then how it went.

#pragma once

#include <cstdio>
#include <string_view>
#include <vector>

#include "core/options/flags.h"

namespace tepal::interop {

template <typename Work>
int RunMain(options::FlagSet& flags, int argc, char** argv, Work&& work) {
  const std::vector<std::string_view> words(argv + 1, argv + argc);
  std::vector<std::string> positional;
  if (const auto exit = options::ParseOrExplain(flags, words, positional)) return *exit;
  const Status status = work();
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}

}  // namespace tepal::interop
