#pragma once

namespace tepal {

// Who decides which models are loaded: everything in the repository at start; the same, kept up to
// date with the repository; or requests to load and unload.
enum class ModelControlMode { kNone, kPoll, kExplicit };

}  // namespace tepal
