// Loads versions through backend plugins.

#pragma once

#include <memory>

#include "core/env/clock.h"
#include "core/gpu/gpus.h"
#include "serving/backend/backend.h"
#include "serving/lifecycle/version_loader.h"

namespace tepal {

// With auto_complete_config a backend may add to a configuration what it reads from the model;
// without, the configuration must be complete. `clock` and `gpus` outlive the loader; without
// `gpus` (null) no model is put on one.
std::unique_ptr<VersionLoader> NewBackendLoader(BackendManager::Options options,
                                                const env::Clock& clock, gpu::Gpus* gpus);

}  // namespace tepal
