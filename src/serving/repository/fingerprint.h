// One number that changes when a directory's content does.
//
// Made of the names, sizes and modification times of everything below it; no file is read. So a
// file replaced by one of the same size within one tick of the file system's clock goes unseen.

#pragma once

#include <cstdint>
#include <string>

#include "core/base/result.h"
#include "core/env/file_system.h"

namespace tepal {

// Directories below a model's that are looked into, and entries in all. What lies beyond does not
// count: a link in a circle must end.
inline constexpr int kFingerprintDepthMax = 8;
inline constexpr int kFingerprintEntriesMax = 20000;

Result<uint64_t> Fingerprint(env::FileSystem& files, const std::string& directory);

}  // namespace tepal
