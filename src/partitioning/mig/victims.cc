#include "partitioning/mig/victims.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <compare>
#include <optional>
#include <utility>

#include "core/base/check.h"

namespace tepal::mig {
namespace {

// What one more tenant's leaving, which nobody has promised, takes from what it would free.
constexpr double kDiscount = 0.8;
// Promises are compared as whole numbers of this part.
constexpr int kPromiseScale = 16;
// Of the next removal's value in the present one's: only for choosing between equals.
constexpr double kLater = 1.0 / (1 << 14);

// What a choice leaves; the first that differs decides.
struct Value {
  int promise = 0;
  int room = 0;
  double later = 0;

  auto operator<=>(const Value&) const = default;
  friend Value operator+(const Value& a, const Value& b) {
    return {a.promise + b.promise, a.room + b.room, a.later + b.later};
  }
  friend Value operator-(const Value& a, const Value& b) {
    return {a.promise - b.promise, a.room - b.room, a.later - b.later};
  }
};

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
    std::vector<double> promises(all + 1);
    for (unsigned gone = all + 1; gone-- > 0;) {  // More gone first: they are the later ones.
      Layout busy = gpu.staying;
      double promise = 0;
      double later = 0;
      for (size_t i = 0; i < size_; ++i) {
        if ((gone >> i & 1) != 0) continue;
        busy.push_back(gpu.removable[i]);
        const unsigned next = gone | 1U << i;
        promise = std::max(promise, kDiscount * promises[next]);
        later = std::max(later, values_[next].room + kLater * values_[next].later);
      }
      const int room = LargeRoom(*gpu.model, busy);
      promises[gone] = std::max(promise, static_cast<double>(room));
      values_[gone] = {static_cast<int>(std::lround(promises[gone] * kPromiseScale)), room, later};
    }
  }

  size_t size() const { return size_; }
  const Value& operator[](unsigned gone) const { return values_[gone]; }

  // The best subset of `count`.
  unsigned Best(size_t count) const {
    std::optional<unsigned> best;
    for (unsigned gone = 0; gone < values_.size(); ++gone) {
      if (static_cast<size_t>(std::popcount(gone)) != count) continue;
      if (!best.has_value() || values_[gone] > values_[*best]) best = gone;
    }
    return *best;
  }

 private:
  size_t size_;
  std::vector<Value> values_;
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
  // best[n]: of the GPUs so far with n victims; taken[g][n]: how many of them GPU g gave.
  std::vector<std::optional<Value>> best(count + 1);
  best[0] = Value();
  std::vector<std::vector<size_t>> taken;
  for (const Prospects& gpu : prospects) {
    std::vector<std::optional<Value>> next(count + 1);
    std::vector<size_t> here(count + 1, 0);
    for (size_t own = 0; own <= std::min(count, gpu.size()); ++own) {
      const Value value = gpu[gpu.Best(own)];
      for (size_t n = own; n <= count; ++n) {
        if (!best[n - own].has_value() || (next[n] >= *best[n - own] + value)) continue;
        next[n] = *best[n - own] + value;
        here[n] = own;
      }
    }
    best = std::move(next);
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
    Value gain;
    for (size_t g = 0; g < gpus.size(); ++g) {
      for (size_t i = 0; i < prospects[g].size(); ++i) {
        if ((gone[g] >> i & 1) != 0) continue;
        const Value gained = prospects[g][gone[g] | 1U << i] - prospects[g][gone[g]];
        if (next.has_value() && gained <= gain) continue;
        gain = gained;
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
  std::optional<Value> loss_least;
  for (size_t i = 0; i < vacancies.size(); ++i) {
    const Tenants& before = gpus[vacancies[i].gpu];
    Tenants after = before;
    after.removable.push_back(vacancies[i].placement);
    const Value loss = Prospects(before)[0] - Prospects(after)[0];
    if (loss_least.has_value() && loss >= *loss_least) continue;
    loss_least = loss;
    best = i;
  }
  return best;
}

}  // namespace tepal::mig
