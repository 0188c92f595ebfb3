// Loads versions through backend plugins.

#pragma once

#include <memory>

#include "core/buffer/slab_source.h"
#include "core/env/clock.h"
#include "core/gpu/gpus.h"
#include "serving/backend/backend.h"
#include "serving/lifecycle/version_loader.h"

namespace tepal {

// With auto_complete_config a backend may add to a configuration what it reads from the model;
// without, the configuration must be complete. `clock`, `gpus` and
// `results` outlive the loader and what it loaded. Without `gpus` (null) no model is put on one;
// without `results` what models on a GPU answer lies in ordinary memory.
std::unique_ptr<VersionLoader> NewBackendLoader(BackendManager::Options options,
                                                const env::Clock& clock, gpu::Gpus* gpus,
                                                SlabSource* results = nullptr);

}  // namespace tepal
