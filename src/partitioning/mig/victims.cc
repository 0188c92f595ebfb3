#include "partitioning/mig/victims.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <optional>
#include <tuple>
#include <utility>

#include "core/base/check.h"

namespace tepal::mig {
namespace {

// A later removal is only for choosing between equals: all LargeRoom of sixteen GPUs times this is
// less than one.
constexpr double kLater = 1.0 / (1 << 14);
constexpr double kImpossible = -std::numeric_limits<double>::infinity();

// NVML's numbers of the profiles that are not a variant of another one.
bool IsPlain(const Profile& profile) { return profile.nvml_profile <= 6; }

// What each subset of one GPU's removable tenants leaves when it has gone. Bit n of a subset:
// tenant n has gone.
class Prospects {
 public:
  explicit Prospects(const Tenants& gpu) : size_(gpu.removable.size()) {
    TEPAL_CHECK(size_ <= kSlicesMax);
    const unsigned all = (1U << size_) - 1;
    values_.resize(all + 1);
    for (unsigned gone = all + 1; gone-- > 0;) {  // More gone first: they are the later ones.
      Layout busy = gpu.staying;
      double later = 0;
      for (size_t i = 0; i < size_; ++i) {
        if ((gone >> i & 1) != 0) continue;
        busy.push_back(gpu.removable[i]);
        later = std::max(later, values_[gone | 1U << i]);
      }
      values_[gone] = LargeRoom(*gpu.model, busy) + kLater * later;
    }
  }

  size_t size() const { return size_; }
  // LargeRoom, and a fraction for what later removals would add.
  double Value(unsigned gone) const { return values_[gone]; }
  // What the next removal adds now.
  double Gain(unsigned gone, size_t next) const {
    return std::floor(values_[gone | 1U << next]) - std::floor(values_[gone]);
  }

  // The best subset of `count`.
  unsigned Best(size_t count) const {
    unsigned best = 0;
    double value = kImpossible;
    for (unsigned gone = 0; gone < values_.size(); ++gone) {
      if (static_cast<size_t>(std::popcount(gone)) != count || values_[gone] <= value) continue;
      value = values_[gone];
      best = gone;
    }
    return best;
  }

 private:
  size_t size_;
  std::vector<double> values_;
};

std::vector<Prospects> ProspectsOf(std::span<const Tenants> gpus) {
  return {gpus.begin(), gpus.end()};
}

}  // namespace

int LargeRoom(const GpuModel& model, std::span<const Placement> busy) {
  int room = 0;
  for (const Profile& profile : model.profiles) {
    if (!IsPlain(profile)) continue;
    const size_t starts = FreeStarts(model, busy, profile).size();
    room += profile.memory_slices * profile.memory_slices * profile.compute_slices *
            static_cast<int>(starts);
  }
  return room;
}

double Fragmentation(const GpuModel& model, std::span<const Placement> busy) {
  std::vector<const Profile*> profiles;
  for (const Placement& placement : busy) profiles.push_back(placement.profile);
  int best = LargeRoom(model, busy);
  // By every layout of the same instances, not by Place: that goes by Room.
  const auto same = [&](const Layout& layout) {
    std::vector<const Profile*> theirs;
    for (const Placement& placement : layout) theirs.push_back(placement.profile);
    return std::is_permutation(theirs.begin(), theirs.end(), profiles.begin(), profiles.end());
  };
  std::vector<const Profile*> distinct;
  for (const Profile* profile : profiles) {
    if (std::find(distinct.begin(), distinct.end(), profile) == distinct.end()) {
      distinct.push_back(profile);
    }
  }
  for (const Layout& layout : AllLayouts(model, distinct)) {
    if (same(layout)) best = std::max(best, LargeRoom(model, layout));
  }
  return best == 0 ? 0 : 1 - static_cast<double>(LargeRoom(model, busy)) / best;
}

std::vector<Tenant> ChooseVictims(std::span<const Tenants> gpus, size_t count) {
  const std::vector<Prospects> prospects = ProspectsOf(gpus);
  size_t total = 0;
  for (const Prospects& gpu : prospects) total += gpu.size();
  count = std::min(count, total);
  // values[n]: the best of the GPUs so far with n victims; taken[g][n]: how many GPU g gave to it.
  std::vector<double> values(count + 1, kImpossible);
  values[0] = 0;
  std::vector<std::vector<size_t>> taken;
  for (const Prospects& gpu : prospects) {
    std::vector<double> next(count + 1, kImpossible);
    std::vector<size_t> here(count + 1, 0);
    for (size_t own = 0; own <= std::min(count, gpu.size()); ++own) {
      const double value = gpu.Value(gpu.Best(own));
      for (size_t n = own; n <= count; ++n) {
        if (values[n - own] + value <= next[n]) continue;
        next[n] = values[n - own] + value;
        here[n] = own;
      }
    }
    values = std::move(next);
    taken.push_back(std::move(here));
  }
  std::vector<Tenant> victims;
  for (size_t g = gpus.size(); g-- > 0;) {
    const size_t own = taken[g][count];
    const unsigned gone = prospects[g].Best(own);
    for (size_t i = prospects[g].size(); i-- > 0;) {
      if ((gone >> i & 1) != 0) victims.push_back({g, i});
    }
    count -= own;
  }
  std::reverse(victims.begin(), victims.end());
  return victims;
}

std::vector<Tenant> OrderVictims(std::span<const Tenants> gpus) {
  const std::vector<Prospects> prospects = ProspectsOf(gpus);
  std::vector<unsigned> gone(gpus.size(), 0);
  std::vector<Tenant> order;
  for (;;) {
    std::optional<Tenant> next;
    // More room now; then the GPU with fewer tenants left; on it, the better prospect.
    std::tuple<double, int, double> rank;
    for (size_t g = 0; g < gpus.size(); ++g) {
      const int left =
          static_cast<int>(gpus[g].staying.size() + prospects[g].size()) - std::popcount(gone[g]);
      for (size_t i = 0; i < prospects[g].size(); ++i) {
        if ((gone[g] >> i & 1) != 0) continue;
        const std::tuple candidate(prospects[g].Gain(gone[g], i), -left,
                                   prospects[g].Value(gone[g] | 1U << i));
        if (next.has_value() && candidate <= rank) continue;
        rank = candidate;
        next = Tenant{g, i};
      }
    }
    if (!next.has_value()) return order;
    gone[next->gpu] |= 1U << next->index;
    order.push_back(*next);
  }
}

std::vector<std::vector<int32_t>> DeletionCosts(std::span<const Tenants> gpus) {
  std::vector<std::vector<int32_t>> costs;
  for (const Tenants& gpu : gpus) costs.emplace_back(gpu.removable.size(), 0);
  int32_t cost = 0;
  for (const Tenant& victim : OrderVictims(gpus)) costs[victim.gpu][victim.index] = cost++;
  return costs;
}

size_t ChooseVacancy(std::span<const Tenants> gpus, std::span<const Vacancy> vacancies) {
  TEPAL_CHECK(!vacancies.empty());
  size_t best = 0;
  double loss_least = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < vacancies.size(); ++i) {
    const Tenants& before = gpus[vacancies[i].gpu];
    Tenants after = before;
    after.removable.push_back(vacancies[i].placement);
    const double loss = Prospects(before).Value(0) - Prospects(after).Value(0);
    if (loss >= loss_least) continue;
    loss_least = loss;
    best = i;
  }
  return best;
}

}  // namespace tepal::mig
