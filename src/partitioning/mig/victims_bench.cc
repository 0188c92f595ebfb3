// How often a large instance still fits after scale-down: victims chosen against victims at random,
// on the same arrivals. Prints two tables; docs/mig.md has them.
//
//   victims_bench [SEED] [STEPS]
//
// The first is one A100 with seven 1g, scaled down once from full, exact. The second is a DGX A100,
// 56 slots of 1g, under a load that wanders: every replica that is added or removed is the same in
// every column, only which slot it is differs. A new replica goes to the first free slot, or (last
// column) to the vacancy that costs least. Counted after each scale-down, by how many are free.

#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "partitioning/mig/victims.h"

namespace tepal::mig {
namespace {

constexpr int kSlots = 7;
constexpr size_t kGpus = 8;
constexpr std::array<std::string_view, 4> kLarge = {"2g.10gb", "3g.20gb", "4g.20gb", "7g.40gb"};
using Shares = std::array<double, kLarge.size()>;

const GpuModel& A100() { return *FindGpuModel("A100-40"); }

// Bit n of `busy`: the slot at memory slice n has a replica.
Tenants TenantsOf(unsigned busy) {
  Tenants gpu{&A100(), {}, {}};
  for (int start = 0; start < kSlots; ++start) {
    if ((busy >> start & 1) != 0) gpu.removable.push_back({&A100().profiles[0], start});
  }
  return gpu;
}

std::array<bool, kLarge.size()> WhatFits(unsigned busy) {
  const Tenants gpu = TenantsOf(busy);
  std::array<bool, kLarge.size()> fits{};
  for (size_t i = 0; i < kLarge.size(); ++i) {
    fits[i] = !FreeStarts(A100(), gpu.removable, *FindProfile(A100(), kLarge[i])).empty();
  }
  return fits;
}

void PrintShares(const Shares& shares, size_t columns) {
  for (size_t i = 0; i < columns; ++i) {
    std::printf("%s%.0f", i == 0 ? " | " : " / ", 100 * shares[i]);
  }
}

Shares AtRandom(int removed) {
  Shares shares{};
  int ways = 0;
  for (unsigned busy = 0; busy < 1U << kSlots; ++busy) {
    if (std::popcount(busy) != kSlots - removed) continue;
    ++ways;
    const auto fits = WhatFits(busy);
    for (size_t i = 0; i < kLarge.size(); ++i) shares[i] += fits[i] ? 1 : 0;
  }
  for (double& share : shares) share /= ways;
  return shares;
}

Shares Without(std::span<const Tenant> victims) {
  unsigned busy = (1U << kSlots) - 1;
  for (const Tenant& victim : victims) busy &= ~(1U << victim.index);  // Index is start: all there.
  const auto fits = WhatFits(busy);
  Shares shares{};
  for (size_t i = 0; i < kLarge.size(); ++i) shares[i] = fits[i] ? 1 : 0;
  return shares;
}

void PrintOneGpu() {
  const std::vector<Tenants> gpus = {TenantsOf((1U << kSlots) - 1)};
  const std::vector<Tenant> order = OrderVictims(gpus);
  std::printf(
      "One A100 of seven 1g, scaled down from full: 2g / 3g / 4g fits, in %% of the cases\n"
      "| free | at random | chosen at once | chosen one by one |\n|---|---|---|---|\n");
  for (int removed = 1; removed < kSlots; ++removed) {
    std::printf("| %d", removed);
    PrintShares(AtRandom(removed), 3);
    PrintShares(Without(ChooseVictims(gpus, static_cast<size_t>(removed))), 3);
    PrintShares(Without(std::span(order).first(static_cast<size_t>(removed))), 3);
    std::printf(" |\n");
  }
}

class Machine {
 public:
  enum class Policy { kRandom, kChosen, kChosenBothWays };

  Machine(Policy policy, uint64_t seed) : policy_(policy), random_(seed) {}

  void Resize(int replicas) {
    int have = Busy();
    for (; have < replicas; ++have) Add();
    if (have <= replicas) return;
    const auto surplus = static_cast<size_t>(have - replicas);
    if (policy_ == Policy::kRandom) {
      for (size_t i = 0; i < surplus; ++i) RemoveAny();
    } else {
      Remove(ChooseVictims(State(), surplus));
    }
    Count();
  }

  void Print(int free_from, int free_to) const {
    Shares sum{};
    int samples = 0;
    for (int free = free_from; free <= free_to; ++free) {
      samples += samples_[static_cast<size_t>(free)];
      for (size_t i = 0; i < kLarge.size(); ++i) sum[i] += fitting_[static_cast<size_t>(free)][i];
    }
    for (double& share : sum) share /= std::max(samples, 1);
    PrintShares(sum, kLarge.size());
  }
  int Samples(int from, int to) const {
    int sum = 0;
    for (int free = from; free <= to; ++free) sum += samples_[static_cast<size_t>(free)];
    return sum;
  }

 private:
  int Busy() const {
    int busy = 0;
    for (const unsigned gpu : busy_) busy += std::popcount(gpu);
    return busy;
  }

  std::vector<Tenants> State() const {
    std::vector<Tenants> gpus;
    for (const unsigned busy : busy_) gpus.push_back(TenantsOf(busy));
    return gpus;
  }

  void Add() {
    std::vector<Vacancy> vacancies;
    for (size_t g = 0; g < kGpus; ++g) {
      for (int start = 0; start < kSlots; ++start) {
        if ((busy_[g] >> start & 1) == 0) vacancies.push_back({g, {&A100().profiles[0], start}});
      }
    }
    const size_t which = policy_ == Policy::kChosenBothWays ? ChooseVacancy(State(), vacancies) : 0;
    busy_[vacancies[which].gpu] |= 1U << vacancies[which].placement.start;
  }

  void RemoveAny() {
    uint64_t nth = random_() % static_cast<uint64_t>(Busy());
    for (unsigned& gpu : busy_) {
      for (int start = 0; start < kSlots; ++start) {
        if ((gpu >> start & 1) == 0 || nth-- != 0) continue;
        gpu &= ~(1U << start);
        return;
      }
    }
  }

  void Remove(std::span<const Tenant> victims) {
    const std::vector<Tenants> before = State();
    for (const Tenant& victim : victims) {
      busy_[victim.gpu] &= ~(1U << before[victim.gpu].removable[victim.index].start);
    }
  }

  void Count() {
    const auto free = static_cast<size_t>(kSlots * static_cast<int>(kGpus) - Busy());
    ++samples_[free];
    std::array<bool, kLarge.size()> fits{};
    for (const unsigned busy : busy_) {
      const auto here = WhatFits(busy);
      for (size_t i = 0; i < kLarge.size(); ++i) fits[i] = fits[i] || here[i];
    }
    for (size_t i = 0; i < kLarge.size(); ++i) fitting_[free][i] += fits[i] ? 1 : 0;
  }

  const Policy policy_;
  std::mt19937_64 random_;
  std::array<unsigned, kGpus> busy_{};
  std::array<int, kSlots * kGpus + 1> samples_{};
  std::array<Shares, kSlots * kGpus + 1> fitting_{};
};

void PrintMachine(uint64_t seed, int steps) {
  Machine random(Machine::Policy::kRandom, seed);
  Machine chosen(Machine::Policy::kChosen, seed);
  Machine both(Machine::Policy::kChosenBothWays, seed);
  std::mt19937_64 arrivals(seed);
  int replicas = static_cast<int>(kGpus) * kSlots;
  for (int step = 0; step < steps; ++step) {
    const int change = static_cast<int>(arrivals() % 13) - 6;
    replicas = std::clamp(replicas + change, 1, kSlots * static_cast<int>(kGpus));
    for (Machine* machine : {&random, &chosen, &both}) machine->Resize(replicas);
  }
  std::printf(
      "\nDGX A100 of 56 slots of 1g, %d changes of the load, seed %llu: 2g / 3g / 4g / 7g fits "
      "after a scale-down, in %% of the cases\n"
      "| free | cases | at random | chosen | chosen, starts too |\n|---|---|---|---|---|\n",
      steps, static_cast<unsigned long long>(seed));
  for (const auto& [from, to] : {std::pair{1, 3}, {4, 7}, {8, 14}, {15, 21}, {22, 28}, {29, 42}}) {
    std::printf("| %d to %d | %d", from, to, random.Samples(from, to));
    random.Print(from, to);
    chosen.Print(from, to);
    both.Print(from, to);
    std::printf(" |\n");
  }
}

}  // namespace
}  // namespace tepal::mig

int main(int argc, char** argv) {
  const uint64_t seed = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1;
  const int steps = argc > 2 ? std::atoi(argv[2]) : 20000;
  tepal::mig::PrintOneGpu();
  tepal::mig::PrintMachine(seed, steps);
}
