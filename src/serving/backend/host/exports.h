// Keeps the C interface in the program.
//
// Nothing in our code calls the TRITONSERVER_* and TRITONBACKEND_* functions, so a linker would
// leave their object files in the static library; plugins find them by name in the executable.
// Whoever loads a plugin calls ExportedFunctions, and this table refers to every function. The
// room's link options (cmake/rooms.cmake) put them into the executable's dynamic symbol table.

#pragma once

#include <cstddef>

namespace tepal::backend_host {

// How many functions the program offers to plugins.
size_t ExportedFunctions();

}  // namespace tepal::backend_host
