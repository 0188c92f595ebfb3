// Child processes of one loop.

#pragma once

#include <memory>

#include "core/env/process.h"

namespace tepal::runtime {

class LoopImpl;

// The parent-death signal of prctl(2) is tied to the thread that starts the child: start children
// from a loop whose thread lives as long as the process.
std::unique_ptr<env::ProcessStarter> NewProcessStarter(LoopImpl& loop);

}  // namespace tepal::runtime
