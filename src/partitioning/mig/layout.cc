#include "partitioning/mig/layout.h"

#include <algorithm>
#include <numeric>
#include <optional>

namespace tepal::mig {

namespace {

struct Used {
  unsigned slices = 0;
  int compute = 0;
  int decoders = 0;
  int ofa = 0;
};

Used Sum(std::span<const Placement> layout) {
  Used used;
  for (const Placement& placement : layout) {
    used.slices |= placement.slices();
    used.compute += placement.profile->compute_slices;
    used.decoders += placement.profile->decoders;
    used.ofa += placement.profile->ofa_engines;
  }
  return used;
}

bool Fits(const GpuModel& model, const Used& used, const Placement& added) {
  return (added.profile->starts >> added.start & 1) != 0 && (used.slices & added.slices()) == 0 &&
         used.compute + added.profile->compute_slices <= model.compute_slices &&
         used.decoders + added.profile->decoders <= model.decoders &&
         used.ofa + added.profile->ofa_engines <= model.ofa_engines;
}

// Puts the instances down one by one, large ones first and equal ones from left to right, so that
// each layout comes up once.
class Packer {
 public:
  Packer(const GpuModel& model, std::span<const Placement> there,
         std::span<const Profile* const> profiles)
      : model_(model), profiles_(profiles), order_(profiles.size()), there_(there.size()) {
    layout_.assign(there.begin(), there.end());
    std::iota(order_.begin(), order_.end(), size_t{0});
    std::stable_sort(order_.begin(), order_.end(), [&](size_t a, size_t b) {
      if (profiles[a]->memory_slices != profiles[b]->memory_slices) {
        return profiles[a]->memory_slices > profiles[b]->memory_slices;
      }
      return std::less<>()(profiles[a], profiles[b]);
    });
  }

  Layout Best() {
    Next(0);
    Layout best(best_.size());
    for (size_t i = 0; i < best_.size(); ++i) best[order_[i]] = best_[i];
    return best;
  }

 private:
  void Next(size_t depth) {
    if (depth == order_.size()) {
      const int room = Room(model_, layout_);
      if (room <= best_room_) return;
      best_room_ = room;
      best_.assign(layout_.begin() + static_cast<std::ptrdiff_t>(there_), layout_.end());
      return;
    }
    const Profile* const profile = profiles_[order_[depth]];
    const bool like_last = depth > 0 && profiles_[order_[depth - 1]] == profile;
    for (int start = like_last ? layout_.back().start + 1 : 0; start < model_.memory_slices;
         ++start) {
      const Placement placement{profile, start};
      if (!Fits(model_, Sum(layout_), placement)) continue;
      layout_.push_back(placement);
      Next(depth + 1);
      layout_.pop_back();
    }
  }

  const GpuModel& model_;
  const std::span<const Profile* const> profiles_;
  std::vector<size_t> order_;
  const size_t there_;
  Layout layout_;
  Layout best_;
  int best_room_ = -1;
};

// From the slice `start` on: each layout is built from left to right, so it comes up once.
void Enumerate(const GpuModel& model, std::span<const Profile* const> profiles, int start,
               Layout& layout, std::vector<Layout>& all) {
  if (start == model.memory_slices) {
    all.push_back(layout);
    return;
  }
  Enumerate(model, profiles, start + 1, layout, all);
  for (const Profile* profile : profiles) {
    const Placement placement{profile, start};
    if (!Fits(model, Sum(layout), placement)) continue;
    layout.push_back(placement);
    Enumerate(model, profiles, start + 1, layout, all);
    layout.pop_back();
  }
}

}  // namespace

bool Fits(const GpuModel& model, std::span<const Placement> there, const Placement& added) {
  if (added.start < 0 || added.start >= model.memory_slices) return false;
  return Fits(model, Sum(there), added);
}

bool IsLegal(const GpuModel& model, std::span<const Placement> layout) {
  for (size_t i = 0; i < layout.size(); ++i) {
    if (!Fits(model, layout.first(i), layout[i])) return false;
  }
  return true;
}

std::vector<int> FreeStarts(const GpuModel& model, std::span<const Placement> there,
                            const Profile& profile) {
  std::vector<int> starts;
  const Used used = Sum(there);
  for (int start = 0; start < model.memory_slices; ++start) {
    if (Fits(model, used, {&profile, start})) starts.push_back(start);
  }
  return starts;
}

int RemainingCapacity(const GpuModel& model, std::span<const Placement> there,
                      const Profile& profile) {
  Layout layout(there.begin(), there.end());
  int added = 0;
  for (const int start : FreeStarts(model, there, profile)) {
    const Placement placement{&profile, start};
    if (!Fits(model, Sum(layout), placement)) continue;
    layout.push_back(placement);
    ++added;
  }
  return added;
}

int Room(const GpuModel& model, std::span<const Placement> layout) {
  const Used used = Sum(layout);
  int room = 0;
  for (const Profile& profile : model.profiles) {
    const int weight = profile.memory_slices * profile.memory_slices * profile.compute_slices;
    for (int start = 0; start < model.memory_slices; ++start) {
      if (Fits(model, used, {&profile, start})) room += weight;
    }
  }
  return room;
}

Layout Place(const GpuModel& model, std::span<const Placement> there,
             std::span<const Profile* const> profiles) {
  return Packer(model, there, profiles).Best();
}

std::vector<Layout> AllLayouts(const GpuModel& model, std::span<const Profile* const> profiles) {
  std::vector<Layout> all;
  Layout layout;
  Enumerate(model, profiles, 0, layout, all);
  return all;
}

std::vector<Layout> MaximalLayouts(const GpuModel& model,
                                   std::span<const Profile* const> profiles) {
  std::vector<Layout> all = AllLayouts(model, profiles);
  std::erase_if(all, [&](const Layout& layout) {
    return std::any_of(profiles.begin(), profiles.end(), [&](const Profile* profile) {
      return !FreeStarts(model, layout, *profile).empty();
    });
  });
  return all;
}

std::string ToString(const Placement& placement) {
  return std::string(placement.profile->name) + " at " + std::to_string(placement.start);
}

}  // namespace tepal::mig
