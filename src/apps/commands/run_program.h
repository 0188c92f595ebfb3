// Runs a program and waits for its end.

#pragma once

#include <string>

#include "core/base/result.h"
#include "core/env/process.h"

namespace tepal::commands {

// As a shell would find it: with a slash as it is, otherwise along PATH. kNotFound.
Result<std::string> FindProgram(const std::string& name);

// kFailedPrecondition when it ends otherwise than with 0.
Status RunProgram(env::ProcessOptions options);

}  // namespace tepal::commands
