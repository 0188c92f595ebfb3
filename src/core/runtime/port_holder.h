// Which process holds a TCP port, for the error a person reads when it is taken.

#pragma once

#include <string>

#include "core/env/network.h"

namespace tepal::runtime {

// "process 1234 (nginx)", or empty when /proc does not say (another user's process, another
// network namespace). Reads every process's descriptors: for an error path.
std::string DescribePortHolder(const env::Address& address);

}  // namespace tepal::runtime
