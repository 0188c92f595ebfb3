#include "balancing/load_balancer/hash_ring.h"

namespace tepal::lb {

namespace {

// Murmur3's last step: every bit of the input reaches every bit of the output.
uint64_t Mix(uint64_t bits) {
  bits ^= bits >> 33;
  bits *= 0xff51afd7ed558ccd;
  bits ^= bits >> 33;
  bits *= 0xc4ceb9fe1a85ec53;
  return bits ^ (bits >> 33);
}

constexpr uint64_t kGolden = 0x9e3779b97f4a7c15;

}  // namespace

uint64_t HashOfText(std::string_view text, uint64_t seed) {
  uint64_t hash = 0xcbf29ce484222325 ^ Mix(seed);  // FNV-1a
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  hash = Mix(hash);
  return hash == 0 ? 1 : hash;
}

void HashRing::Add(EndpointId id, std::string_view address, uint32_t weight) {
  const uint64_t base = HashOfText(address);
  const uint32_t count = kPointsOfWeight * std::clamp(weight, 1u, kWeightMax);
  for (uint32_t i = 0; i < count; ++i) added_.push_back({Mix(base + (i + 1) * kGolden), id});
}

void HashRing::Remove(EndpointId id) {
  const size_t before = added_.size();
  std::erase_if(added_, [id](const Point& point) { return point.id == id; });
  if (added_.size() == before) removed_.insert(id);
}

void HashRing::Settle() {
  if (!removed_.empty()) {
    std::erase_if(points_, [this](const Point& point) { return removed_.contains(point.id); });
    removed_.clear();
  }
  if (added_.empty()) return;
  std::sort(added_.begin(), added_.end());
  const auto middle = static_cast<ptrdiff_t>(points_.size());
  points_.insert(points_.end(), added_.begin(), added_.end());
  std::inplace_merge(points_.begin(), points_.begin() + middle, points_.end());
  added_.clear();
}

size_t HashRing::IndexOf(uint64_t key) const {
  const auto first = std::lower_bound(points_.begin(), points_.end(), Point{key, 0});
  return static_cast<size_t>(first - points_.begin());
}

}  // namespace tepal::lb
