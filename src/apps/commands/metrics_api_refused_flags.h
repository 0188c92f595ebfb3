// prometheus-adapter's flags that `tepal metrics-api` does not honour, each with the reason.
//
// A flag given the value that is the default there, or any that changes nothing here, is accepted
// without a word: manifests often spell defaults out.

#pragma once

#include "core/options/flags.h"

namespace tepal::commands {

void AddMetricsApiRefusedFlags(options::FlagSet& flags);

}  // namespace tepal::commands
