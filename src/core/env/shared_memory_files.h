// The seam to POSIX shared memory objects, which processes of one machine have in common.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "core/base/result.h"

namespace tepal::env {

// Bytes of an object in our address space, until destroyed. Any thread. Whoever made the object may
// change its bytes at any time, and cutting it short makes reading them fatal to this process:
// only processes that are trusted as much as this one may be given regions.
class SharedMapping {
 public:
  virtual ~SharedMapping() = default;
  virtual std::span<std::byte> bytes() = 0;
};

// Thread-safe.
class SharedMemoryFiles {
 public:
  virtual ~SharedMemoryFiles() = default;

  // The bytes [offset, offset + size) of the object `key` ("/name"), for reading and writing.
  // kNotFound: it cannot be opened; kOutOfRange: it ends before that, or `size` is 0.
  virtual Result<std::unique_ptr<SharedMapping>> Map(const std::string& key, uint64_t offset,
                                                     uint64_t size) = 0;

  // A new object of `size` zero bytes, which goes when the mapping does: processes that have mapped
  // it keep its bytes. Readable and writable by this user alone. kAlreadyExists.
  virtual Result<std::unique_ptr<SharedMapping>> Create(const std::string& key, uint64_t size) {
    (void)size;
    return Unimplemented("making shared memory " + key + " is not supported here");
  }
};

}  // namespace tepal::env
