// The regions of shared memory that clients have registered.
//
// A region is a name for a part of a POSIX shared memory object. Its bytes stay mapped while it is
// registered or any view of it is in use, so unregistering one never pulls memory from under a
// request. Thread-safe. Error texts are Triton's (test/conformance).

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/guarded.h"
#include "core/base/result.h"
#include "core/buffer/buffer.h"
#include "core/env/shared_memory_files.h"

namespace tepal {

struct SharedMemoryRegion {
  std::string name, key;
  uint64_t offset = 0, byte_size = 0;  // Within the object `key`.
};

class SharedMemoryRegions {
 public:
  static constexpr size_t kRegionsMax = 65'536;

  // `files` outlives this and every view of a region.
  explicit SharedMemoryRegions(env::SharedMemoryFiles& files) : files_(files) {}

  // kAlreadyExists for a name in use, kInternal for an object that cannot be opened,
  // kInvalidArgument for one that ends before the region does, kResourceExhausted above the limit.
  Status Register(const SharedMemoryRegion& region);

  // In order of name.
  std::vector<SharedMemoryRegion> All();
  Result<SharedMemoryRegion> Find(std::string_view name);  // kNotFound.

  // A name that is not registered is no mistake.
  void Unregister(std::string_view name);
  void UnregisterAll();

  // A view of [offset, offset + size) of a region. kNotFound, or kInvalidArgument for what is not
  // inside.
  Result<Buffer> Memory(std::string_view name, uint64_t offset, uint64_t size);

 private:
  struct Registered {
    SharedMemoryRegion region;
    Buffer bytes;
  };
  using Table = std::map<std::string, Registered, std::less<>>;

  env::SharedMemoryFiles& files_;
  Guarded<Table> table_;
};

}  // namespace tepal
