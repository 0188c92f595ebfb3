// Large blocks of the CPU's memory, kept when they are given back.
//
// A network's intermediate results come and go with every execution. A general allocator gives such
// blocks back to the system soon, and the next execution pays for thousands of page faults
// (docs/performance.md has a ResNet50). A block taken here comes from the kept ones of its size,
// rounded up to eight sizes a doubling. Thread-safe.

#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <vector>

namespace tepal_plugin {

class BlockCache {
 public:
  static constexpr size_t kAlignment = 64;

  // Keeps blocks of `block_min` bytes or more, and at most `kept_max` bytes of them; the rest goes
  // back to the system at once.
  BlockCache(size_t block_min, size_t kept_max) : block_min_(block_min), kept_max_(kept_max) {}
  BlockCache(const BlockCache&) = delete;
  BlockCache& operator=(const BlockCache&) = delete;
  ~BlockCache() { Trim(); }

  // At least `size` bytes of no particular content; null when the system has none.
  void* Take(size_t size);
  void Give(void* block);  // What Take returned, also on another thread.

  void Trim();  // Gives all that is kept to the system.
  size_t kept() const;

 private:
  const size_t block_min_, kept_max_;
  mutable std::mutex mutex_;
  size_t kept_ = 0;
  std::map<size_t, std::vector<void*>> free_;  // By size.
};

}  // namespace tepal_plugin
