// The flags of the doors of `tepal serve`: HTTP, gRPC and metrics.

#pragma once

#include "apps/commands/serve_flags.h"

namespace tepal::commands {

void AddDoorFlags(options::FlagSet& flags, ServeOptions& options);

// What one flag alone cannot tell.
Status CheckDoors(const ServeOptions& options);

}  // namespace tepal::commands
