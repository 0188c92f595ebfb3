// The regions of shared memory that clients have registered.
//
// A region is a name for a part of a POSIX shared memory object, or for memory that a client has
// allocated on a GPU and exported (CUDA IPC). Its bytes stay mapped while it is registered or any
// view of it is in use, so unregistering one never pulls memory from under a request. Both kinds
// share one space of names, but each is listed and unregistered by calls of its own. Thread-safe.
// Error texts are Triton's (test/conformance) where it has any.

#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/base/guarded.h"
#include "core/base/result.h"
#include "core/buffer/buffer.h"
#include "core/env/shared_memory_files.h"
#include "core/gpu/gpus.h"

namespace tepal {

struct SharedMemoryRegion {
  std::string name, key;
  uint64_t offset = 0, byte_size = 0;  // Within the object `key`.
};

struct CudaMemoryRegion {
  std::string name;
  int64_t device = 0;
  uint64_t byte_size = 0;
};

class SharedMemoryRegions {
 public:
  static constexpr size_t kRegionsMax = 65'536;  // Of both kinds together.

  // Both outlive this and every view of a region. Without `gpus` no region of CUDA memory can be
  // registered.
  explicit SharedMemoryRegions(env::SharedMemoryFiles& files, gpu::Gpus* gpus = nullptr)
      : files_(files), gpus_(gpus) {}

  // kAlreadyExists for a name in use, kInternal for an object that cannot be opened,
  // kInvalidArgument for one that ends before the region does, kResourceExhausted above the limit.
  // While GPUs are in use the region is pinned, so that they copy from it by themselves; one that
  // cannot be pinned is registered all the same, and the log says why.
  Status Register(const SharedMemoryRegion& region);

  // `handle`: the bytes of a cudaIpcMemHandle_t. kAlreadyExists and kResourceExhausted as above,
  // kInvalidArgument for what the GPU's driver refuses, kUnavailable where no GPU can be used.
  Status RegisterCuda(const CudaMemoryRegion& region, std::span<const std::byte> handle);

  // In order of name.
  std::vector<SharedMemoryRegion> All();
  std::vector<CudaMemoryRegion> AllCuda();
  Result<SharedMemoryRegion> Find(std::string_view name);    // kNotFound.
  Result<CudaMemoryRegion> FindCuda(std::string_view name);  // kNotFound.

  // A name that is not registered, or is of the other kind, is no mistake.
  void Unregister(std::string_view name);
  void UnregisterCuda(std::string_view name);
  void UnregisterAll();
  void UnregisterAllCuda();

  // A view of [offset, offset + size) of a region of either kind; where it lies is the buffer's
  // place(). kNotFound, or kInvalidArgument for what is not inside.
  Result<Buffer> Memory(std::string_view name, uint64_t offset, uint64_t size);

 private:
  struct Registered {
    std::variant<SharedMemoryRegion, CudaMemoryRegion> region;
    Buffer bytes;
  };
  using Table = std::map<std::string, Registered, std::less<>>;

  Status CheckFree(const std::string& name);
  Status Add(const std::string& name, Registered registered);
  Result<Buffer> Map(const SharedMemoryRegion& region);
  template <typename Region>
  std::vector<Region> AllOf();
  template <typename Region>
  Result<Region> FindOf(std::string_view name, std::string_view kind);
  template <typename Region>
  void UnregisterOf(std::string_view name);
  template <typename Region>
  void UnregisterAllOf();

  env::SharedMemoryFiles& files_;
  gpu::Gpus* const gpus_;
  Guarded<Table> table_;
};

}  // namespace tepal
