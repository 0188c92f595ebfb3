// The logging extension: the process's log settings as JSON, both ways.

#pragma once

#include <string>
#include <string_view>

#include "core/base/status.h"

namespace tepal {

std::string LogSettingsJson();

// Sets what `body` names, all of it or, on an error, nothing. The file is only for the command line
// to say (kUnimplemented).
Status UpdateLogSettings(std::string_view body);

}  // namespace tepal
