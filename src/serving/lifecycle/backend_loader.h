// Loads versions through backend plugins.

#pragma once

#include <memory>

#include "core/env/clock.h"
#include "serving/backend/backend.h"
#include "serving/lifecycle/version_loader.h"

namespace tepal {

// With auto_complete_config a backend may add to a configuration what it reads from the model;
// without, the configuration must be complete. `clock` outlives the loader.
std::unique_ptr<VersionLoader> NewBackendLoader(BackendManager::Options options,
                                                const env::Clock& clock);

}  // namespace tepal
