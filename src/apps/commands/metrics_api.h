// tepal metrics-api with a source of somebody's choice: the program's own, or a test's.

#pragma once

#include "apps/commands/commands.h"
#include "apps/commands/metrics_api_sources.h"

namespace tepal::commands {

int RunMetricsApiWith(Arguments arguments, SourceMaker source);

}  // namespace tepal::commands
