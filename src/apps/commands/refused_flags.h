// tritonserver's flags that `tepal serve` does not honour, each with the reason a person is told.
//
// A flag given the value that is Triton's default, or any value that changes nothing here, is
// accepted without a word: manifests often spell defaults out.

#pragma once

#include "core/options/flags.h"

namespace tepal::commands {

void AddRefusedFlags(options::FlagSet& flags);

}  // namespace tepal::commands
