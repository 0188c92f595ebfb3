#include "apps/supervisor/placement_preference.h"

#include <algorithm>
#include <climits>
#include <map>

#include "partitioning/mig/victims.h"

namespace tepal::supervisor {
namespace {

// Of slots without a GPU all the same; a GPU that is not cut is larger than any part of one.
int SizeOf(const Slot& slot) {
  if (slot.gpu < 0) return 0;
  return slot.placement.profile == nullptr ? INT_MAX : slot.placement.profile->compute_slices;
}

bool IsPlaced(const Slot& slot) {
  return slot.model != nullptr && slot.placement.profile != nullptr && slot.placement.start >= 0;
}

// The GPUs of some slots, with who works there, and which slot each removable tenant is. An
// instance with several devices is one tenant, and stays while any of them does: it is none of ours
// to free.
struct Board {
  std::vector<mig::Tenants> gpus;
  std::vector<std::vector<int>> slots;
  std::map<int, size_t> places;  // By the GPU's index.

  mig::Tenants& Of(const Slot& slot) {
    const auto [place, added] = places.try_emplace(slot.gpu, gpus.size());
    if (added) {
      gpus.push_back({slot.model.get(), {}, {}});
      slots.emplace_back();
    }
    return gpus[place->second];
  }
  void AddStaying(const Slot& slot) {
    mig::Tenants& gpu = Of(slot);
    // Twice for an instance of two devices would be no legal layout.
    if (mig::Fits(*gpu.model, gpu.staying, slot.placement)) gpu.staying.push_back(slot.placement);
  }
  bool AddRemovable(int number, const Slot& slot) {
    mig::Tenants& gpu = Of(slot);
    mig::Layout all = gpu.staying;
    all.insert(all.end(), gpu.removable.begin(), gpu.removable.end());
    if (!mig::Fits(*gpu.model, all, slot.placement)) return false;
    gpu.removable.push_back(slot.placement);
    slots[places.at(slot.gpu)].push_back(number);
    return true;
  }
};

}  // namespace

std::vector<int> PlacementPreference::ChooseToLeave(std::span<const int> ready, size_t count) {
  std::map<int, std::vector<int>> by_size;
  for (const int number : ready) {
    by_size[SizeOf(table_[static_cast<size_t>(number)])].push_back(number);
  }
  std::vector<int> leaving;
  const auto left = [&](int number) {
    return std::find(leaving.begin(), leaving.end(), number) != leaving.end();
  };
  for (const auto& [size, candidates] : by_size) {
    Board board;
    for (const int number : ready) {
      const Slot& slot = table_[static_cast<size_t>(number)];
      if (IsPlaced(slot) && !left(number) && SizeOf(slot) != size) board.AddStaying(slot);
    }
    std::vector<int> others;
    for (const int number : candidates) {
      const Slot& slot = table_[static_cast<size_t>(number)];
      if (!IsPlaced(slot) || !board.AddRemovable(number, slot)) others.push_back(number);
    }
    while (!others.empty() && leaving.size() < count) {
      leaving.push_back(others.back());
      others.pop_back();
    }
    for (const mig::Tenant& victim : mig::ChooseVictims(board.gpus, count - leaving.size())) {
      leaving.push_back(board.slots[victim.gpu][victim.index]);
    }
    if (leaving.size() == count) break;
  }
  return leaving;
}

int PlacementPreference::ChooseToTake(std::span<const int> free, std::span<const int> taken) {
  int largest = 0;
  for (const int number : free) {
    largest = std::max(largest, SizeOf(table_[static_cast<size_t>(number)]));
  }
  Board board;
  for (const int number : taken) {
    const Slot& slot = table_[static_cast<size_t>(number)];
    if (table_.present(static_cast<size_t>(number)) && IsPlaced(slot)) board.AddStaying(slot);
  }
  std::vector<mig::Vacancy> vacancies;
  std::vector<int> numbers;
  for (const int number : free) {
    const Slot& slot = table_[static_cast<size_t>(number)];
    if (SizeOf(slot) != largest) continue;
    if (!IsPlaced(slot)) return number;
    const mig::Tenants& gpu = board.Of(slot);
    // An instance that has a replica on another of its devices costs no more room.
    if (!mig::Fits(*gpu.model, gpu.staying, slot.placement)) return number;
    vacancies.push_back({board.places.at(slot.gpu), slot.placement});
    numbers.push_back(number);
  }
  return numbers[mig::ChooseVacancy(board.gpus, vacancies)];
}

}  // namespace tepal::supervisor
