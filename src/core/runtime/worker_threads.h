// Threads behind env::WorkerThreads.

#pragma once

#include "core/env/worker.h"

namespace tepal::runtime {

env::WorkerThreads& SystemThreads();

}  // namespace tepal::runtime
