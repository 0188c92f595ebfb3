#include "backends/pytorch/block_cache.h"

#include <bit>
#include <cstdlib>
#include <limits>

namespace tepal_plugin {
namespace {

// In front of a block.
struct alignas(BlockCache::kAlignment) Header {
  size_t size;
};

constexpr size_t kStepsPerDoubling = 8;

size_t RoundedUp(size_t size) {
  const size_t step = std::bit_floor(size) / kStepsPerDoubling;
  return step < BlockCache::kAlignment
             ? (size + BlockCache::kAlignment - 1) / BlockCache::kAlignment * BlockCache::kAlignment
             : (size + step - 1) / step * step;
}

Header* HeaderOf(void* block) { return static_cast<Header*>(block) - 1; }

}  // namespace

void* BlockCache::Take(size_t size) {
  if (size > std::numeric_limits<size_t>::max() / 2) return nullptr;
  const size_t rounded = RoundedUp(size);
  if (rounded >= block_min_) {
    const std::lock_guard lock(mutex_);
    const auto found = free_.find(rounded);
    if (found != free_.end() && !found->second.empty()) {
      void* const block = found->second.back();
      found->second.pop_back();
      kept_ -= rounded;
      return block;
    }
  }
  auto* const header =
      static_cast<Header*>(std::aligned_alloc(kAlignment, sizeof(Header) + rounded));
  if (header == nullptr) return nullptr;
  header->size = rounded;
  return header + 1;
}

void BlockCache::Give(void* block) {
  const size_t size = HeaderOf(block)->size;
  if (size >= block_min_) {
    const std::lock_guard lock(mutex_);
    if (size <= kept_max_ && kept_ <= kept_max_ - size) {
      free_[size].push_back(block);
      kept_ += size;
      return;
    }
  }
  std::free(HeaderOf(block));
}

void BlockCache::Trim() {
  std::map<size_t, std::vector<void*>> freed;
  {
    const std::lock_guard lock(mutex_);
    freed.swap(free_);
    kept_ = 0;
  }
  for (const auto& [size, blocks] : freed) {
    for (void* block : blocks) std::free(HeaderOf(block));
  }
}

size_t BlockCache::kept() const {
  const std::lock_guard lock(mutex_);
  return kept_;
}

}  // namespace tepal_plugin
