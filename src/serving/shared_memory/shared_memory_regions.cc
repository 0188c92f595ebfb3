#include "serving/shared_memory/shared_memory_regions.h"

#include <iterator>
#include <memory>
#include <utility>

#include "core/base/text.h"
#include "core/telemetry/log.h"

namespace tepal {

namespace {

// What stays mapped, and perhaps pinned, as long as the region's bytes are in use.
struct Held {
  std::unique_ptr<env::SharedMapping> mapping;
  std::unique_ptr<gpu::PinnedRange> pinned;  // Ends before the mapping does.
};

Status Taken(std::string_view name) {
  return AlreadyExists(Concat("shared memory region '", name, "' already in manager"));
}

}  // namespace

Status SharedMemoryRegions::CheckFree(const std::string& name) {
  auto table = table_.Lock();
  return table->find(name) == table->end() ? Status() : Taken(name);
}

Status SharedMemoryRegions::Add(const std::string& name, Registered registered) {
  auto table = table_.Lock();
  if (table->size() >= kRegionsMax) {
    return ResourceExhausted(Concat("failed to register shared memory region '", name,
                                    "': ", kRegionsMax, " regions are registered already"));
  }
  // Another client may have been quicker.
  return table->try_emplace(name, std::move(registered)).second ? Status() : Taken(name);
}

Result<Buffer> SharedMemoryRegions::Map(const SharedMemoryRegion& region) {
  Result<std::unique_ptr<env::SharedMapping>> mapped =
      files_.Map(region.key, region.offset, region.byte_size);
  if (mapped.status().code() == StatusCode::kNotFound) {
    return Internal(Concat("Unable to open shared memory region: '", region.key, "'"));
  }
  if (mapped.status().code() == StatusCode::kOutOfRange) {
    // What mmap says in Triton, which looks at the sum alone.
    const bool sum_fits = region.byte_size == 0 || region.offset > UINT64_MAX - region.byte_size;
    return InvalidArgument(Concat(
        "failed to register shared memory region '", region.name,
        "': ", sum_fits ? "unable to process address spaceInvalid argument" : "invalid args"));
  }
  if (!mapped.ok()) return mapped.status();
  Held held{std::move(mapped).value(), nullptr};
  const std::span<std::byte> bytes = held.mapping->bytes();
  MemoryPlace place;
  if (gpus_ != nullptr && gpus_->in_use()) {
    Result<std::unique_ptr<gpu::PinnedRange>> pinned = gpus_->Pin(bytes);
    if (pinned.ok()) {
      held.pinned = std::move(pinned).value();
      place.kind = MemoryKind::kCpuPinned;
    } else {
      telemetry::LogWarning(Concat("shared memory region '", region.name,
                                   "' is not pinned: ", pinned.status().message()));
    }
  }
  return Buffer::Adopt(
      bytes.data(), bytes.size(),
      [held = std::move(held)](std::byte*) mutable {
        held.pinned.reset();
        held.mapping.reset();
      },
      place);
}

Status SharedMemoryRegions::Register(const SharedMemoryRegion& region) {
  RETURN_IF_ERROR(CheckFree(region.name));
  ASSIGN_OR_RETURN(Buffer bytes, Map(region));
  return Add(region.name, {region, std::move(bytes)});
}

Status SharedMemoryRegions::RegisterCuda(const CudaMemoryRegion& region,
                                         std::span<const std::byte> handle) {
  RETURN_IF_ERROR(CheckFree(region.name));
  const std::string doing =
      Concat("failed to register CUDA shared memory region '", region.name, "'");
  if (region.byte_size == 0) return InvalidArgument(Concat(doing, ": byte_size must not be 0"));
  if (gpus_ == nullptr) return Unavailable(Concat(doing, ": this server uses no GPU"));
  ASSIGN_OR_RETURN(Buffer bytes,
                   gpus_->Import(region.device, handle, region.byte_size).WithContext(doing));
  return Add(region.name, {region, std::move(bytes)});
}

template <typename Region>
std::vector<Region> SharedMemoryRegions::AllOf() {
  std::vector<Region> all;
  auto table = table_.Lock();
  for (const auto& [name, registered] : *table) {
    if (const auto* region = std::get_if<Region>(&registered.region)) all.push_back(*region);
  }
  return all;
}

template <typename Region>
Result<Region> SharedMemoryRegions::FindOf(std::string_view name, std::string_view kind) {
  auto table = table_.Lock();
  if (const auto found = table->find(name); found != table->end()) {
    if (const auto* region = std::get_if<Region>(&found->second.region)) return *region;
  }
  return NotFound(Concat("Unable to find ", kind, " shared memory region: '", name, "'"));
}

template <typename Region>
void SharedMemoryRegions::UnregisterOf(std::string_view name) {
  Table::node_type gone;  // Unmapped after the lock is free again.
  auto table = table_.Lock();
  const auto found = table->find(name);
  if (found == table->end() || !std::holds_alternative<Region>(found->second.region)) return;
  gone = table->extract(found);
}

template <typename Region>
void SharedMemoryRegions::UnregisterAllOf() {
  std::vector<Table::node_type> gone;
  auto table = table_.Lock();
  for (auto at = table->begin(); at != table->end();) {
    const auto next = std::next(at);
    if (std::holds_alternative<Region>(at->second.region)) gone.push_back(table->extract(at));
    at = next;
  }
}

std::vector<SharedMemoryRegion> SharedMemoryRegions::All() { return AllOf<SharedMemoryRegion>(); }
std::vector<CudaMemoryRegion> SharedMemoryRegions::AllCuda() { return AllOf<CudaMemoryRegion>(); }

Result<SharedMemoryRegion> SharedMemoryRegions::Find(std::string_view name) {
  return FindOf<SharedMemoryRegion>(name, "system");
}
Result<CudaMemoryRegion> SharedMemoryRegions::FindCuda(std::string_view name) {
  return FindOf<CudaMemoryRegion>(name, "cuda");
}

void SharedMemoryRegions::Unregister(std::string_view name) {
  UnregisterOf<SharedMemoryRegion>(name);
}
void SharedMemoryRegions::UnregisterCuda(std::string_view name) {
  UnregisterOf<CudaMemoryRegion>(name);
}
void SharedMemoryRegions::UnregisterAll() { UnregisterAllOf<SharedMemoryRegion>(); }
void SharedMemoryRegions::UnregisterAllCuda() { UnregisterAllOf<CudaMemoryRegion>(); }

Result<Buffer> SharedMemoryRegions::Memory(std::string_view name, uint64_t offset, uint64_t size) {
  auto table = table_.Lock();
  const auto found = table->find(name);
  if (found == table->end()) {
    return NotFound(Concat("Unable to find shared memory region: '", name, "'"));
  }
  const Buffer& bytes = found->second.bytes;
  if (offset >= bytes.size()) {
    return InvalidArgument(Concat("Invalid offset for shared memory region: '", name, "'"));
  }
  // Nothing at the very start is refused too, as Triton does: it is a size that was forgotten.
  if (size > bytes.size() - offset || (size == 0 && offset == 0)) {
    return InvalidArgument(
        Concat("Invalid offset + byte size for shared memory region: '", name, "'"));
  }
  return bytes.Slice(offset, size);
}

}  // namespace tepal
