#include "serving/shared_memory/shared_memory_regions.h"

#include <memory>
#include <utility>

#include "core/base/text.h"

namespace tepal {

Status SharedMemoryRegions::Register(const SharedMemoryRegion& region) {
  const auto taken = [&region] {
    return AlreadyExists(Concat("shared memory region '", region.name, "' already in manager"));
  };
  if (auto table = table_.Lock(); table->find(region.name) != table->end()) return taken();

  Result<std::unique_ptr<env::SharedMapping>> mapped =
      files_.Map(region.key, region.offset, region.byte_size);
  if (mapped.status().code() == StatusCode::kNotFound) {
    return Internal(Concat("Unable to open shared memory region: '", region.key, "'"));
  }
  if (mapped.status().code() == StatusCode::kOutOfRange) {
    return InvalidArgument(
        Concat("failed to register shared memory region '", region.name, "': invalid args"));
  }
  if (!mapped.ok()) return mapped.status();
  std::shared_ptr<env::SharedMapping> mapping = std::move(mapped).value();
  const std::span<std::byte> bytes = mapping->bytes();
  Buffer buffer =
      Buffer::Adopt(bytes.data(), bytes.size(),
                    [mapping = std::move(mapping)](std::byte*) mutable { mapping.reset(); });

  auto table = table_.Lock();
  if (table->size() >= kRegionsMax) {
    return ResourceExhausted(Concat("failed to register shared memory region '", region.name,
                                    "': ", kRegionsMax, " regions are registered already"));
  }
  // Another client may have been quicker.
  const bool added = table->try_emplace(region.name, Registered{region, std::move(buffer)}).second;
  return added ? Status() : taken();
}

std::vector<SharedMemoryRegion> SharedMemoryRegions::All() {
  std::vector<SharedMemoryRegion> all;
  auto table = table_.Lock();
  for (const auto& [name, registered] : *table) all.push_back(registered.region);
  return all;
}

Result<SharedMemoryRegion> SharedMemoryRegions::Find(std::string_view name) {
  auto table = table_.Lock();
  const auto found = table->find(name);
  if (found == table->end()) {
    return NotFound(Concat("Unable to find system shared memory region: '", name, "'"));
  }
  return found->second.region;
}

void SharedMemoryRegions::Unregister(std::string_view name) {
  Table::node_type gone;  // Unmapped after the lock is free again.
  auto table = table_.Lock();
  if (const auto found = table->find(name); found != table->end()) gone = table->extract(found);
}

void SharedMemoryRegions::UnregisterAll() {
  Table gone;
  std::swap(*table_.Lock(), gone);
}

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
