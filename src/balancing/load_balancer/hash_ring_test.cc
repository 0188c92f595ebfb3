#include "balancing/load_balancer/hash_ring.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "core/base/text.h"

namespace tepal::lb {
namespace {

constexpr size_t kKeys = 20'000;

uint64_t Key(size_t number) { return HashOfText(Concat("/v2/models/m", number)); }
std::string AddressOf(EndpointId id) { return Concat("10.0.", id / 250, ".", id % 250, ":8000"); }

HashRing RingOf(EndpointId count) {
  HashRing ring;
  for (EndpointId id = 1; id <= count; ++id) ring.Add(id, AddressOf(id), 1);
  return ring;
}
EndpointId Owner(HashRing& ring, size_t key) {
  return ring.Find(Key(key), [](EndpointId) { return true; }).value_or(0);
}
std::vector<EndpointId> Owners(HashRing& ring) {
  std::vector<EndpointId> owners;
  for (size_t key = 0; key < kKeys; ++key) owners.push_back(Owner(ring, key));
  return owners;
}

TEST(HashRingTest, AnEmptyRingHasNobody) {
  HashRing ring;
  EXPECT_FALSE(ring.Find(1, [](EndpointId) { return true; }).has_value());
  ring.Add(1, "a", 1);
  ring.Remove(1);
  EXPECT_EQ(ring.points(), 0u);
}

TEST(HashRingTest, KeysAreSharedByWeight) {
  HashRing ring;
  for (EndpointId id = 1; id <= 6; ++id) ring.Add(id, AddressOf(id), id == 1 ? 3 : 1);
  std::map<EndpointId, int> counts;
  for (const EndpointId owner : Owners(ring)) ++counts[owner];
  for (EndpointId id = 1; id <= 6; ++id) {
    const double share = kKeys * (id == 1 ? 3 : 1) / 8.0;
    EXPECT_NEAR(counts[id], share, share * 0.25) << id;
  }
}

TEST(HashRingTest, ARemovedEndpointMovesItsOwnKeysOnly) {
  HashRing ring = RingOf(20);
  const auto before = Owners(ring);
  ring.Remove(7);
  const auto after = Owners(ring);
  for (size_t key = 0; key < kKeys; ++key) {
    if (before[key] == 7) {
      EXPECT_NE(after[key], 7u);
    } else {
      EXPECT_EQ(after[key], before[key]);
    }
  }
}

TEST(HashRingTest, AnAddedEndpointTakesItsShareAndMovesNothingElse) {
  HashRing ring = RingOf(19);
  const auto before = Owners(ring);
  ring.Add(20, AddressOf(20), 1);
  const auto after = Owners(ring);
  int moved = 0;
  for (size_t key = 0; key < kKeys; ++key) {
    if (after[key] == before[key]) continue;
    EXPECT_EQ(after[key], 20u);
    ++moved;
  }
  EXPECT_NEAR(moved, kKeys / 20.0, kKeys / 20.0 * 0.3);
}

TEST(HashRingTest, TheOrderOfChangesDoesNotMatter) {
  HashRing one = RingOf(10);
  HashRing other;
  for (EndpointId id = 12; id >= 1; --id) other.Add(id, AddressOf(id), 1);
  EXPECT_GT(other.points(), 0u);
  other.Remove(11);
  other.Remove(12);
  EXPECT_EQ(Owners(one), Owners(other));
}

TEST(HashRingTest, WhoIsRefusedIsPassedOverForTheSameOther) {
  HashRing ring = RingOf(5);
  HashRing without = RingOf(5);
  without.Remove(3);
  for (size_t key = 0; key < 1000; ++key) {
    const auto found = ring.Find(Key(key), [](EndpointId id) { return id != 3; });
    EXPECT_EQ(found.value_or(0), Owner(without, key));
  }
  EXPECT_FALSE(ring.Find(1, [](EndpointId) { return false; }).has_value());
}

TEST(HashRingTest, ALargeWeightHasABound) {
  HashRing ring;
  ring.Add(1, "a", 1'000'000);
  EXPECT_EQ(ring.points(), size_t{HashRing::kPointsOfWeight} * HashRing::kWeightMax);
}

}  // namespace
}  // namespace tepal::lb
