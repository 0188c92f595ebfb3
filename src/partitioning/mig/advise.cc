#include "partitioning/mig/advise.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <map>

#include "core/base/text.h"

namespace tepal::mig {
namespace {

using Counts = std::vector<int>;  // Instances of each profile of the model.

// Every set of instances that serves `traffic` and from which none can be left out.
void SmallestSets(const GpuModel& model, const std::vector<double>& throughputs, double traffic,
                  std::vector<Counts>& sets) {
  Counts counts(throughputs.size(), 0);
  int compute = 0;
  int memory = 0;
  // The least useful instance taken so far: without it the rest must be too little.
  const std::function<void(size_t, double, double)> next = [&](size_t profile, double served,
                                                               double least) {
    if (served >= traffic) {
      if (served - least < traffic) sets.push_back(counts);
      return;
    }
    if (profile == throughputs.size()) return;
    next(profile + 1, served, least);
    const Profile& added = model.profiles[profile];
    if (throughputs[profile] <= 0) return;
    double sum = served;
    while (sum < traffic) {
      ++counts[profile];
      compute += added.compute_slices;
      memory += added.memory_slices;
      sum += throughputs[profile];
      if (compute > model.compute_slices || memory > model.memory_slices) break;
      next(profile + 1, sum, std::min(least, throughputs[profile]));
    }
    compute -= counts[profile] * added.compute_slices;
    memory -= counts[profile] * added.memory_slices;
    counts[profile] = 0;
  };
  next(0, 0, std::numeric_limits<double>::infinity());
}

std::vector<const Profile*> Flatten(const GpuModel& model, const Counts& counts) {
  std::vector<const Profile*> profiles;
  for (size_t p = 0; p < counts.size(); ++p) {
    for (int i = 0; i < counts[p]; ++i) profiles.push_back(&model.profiles[p]);
  }
  return profiles;
}

class OneGpu {
 public:
  OneGpu(const GpuModel& model, const Throughputs& throughputs, std::span<const double> traffic)
      : model_(model), total_(model.profiles.size(), 0) {
    for (size_t d = 0; d < throughputs.size(); ++d) {
      sets_.emplace_back();
      if (traffic[d] > 0) {
        SmallestSets(model, throughputs[d], traffic[d], sets_.back());
      } else {
        sets_.back().push_back(Counts(model.profiles.size(), 0));
      }
    }
    chosen_.resize(sets_.size());
    Next(0);
  }

  AdvisedGpu Take() {
    AdvisedGpu gpu;
    Layout left = best_layout_;
    for (size_t d = 0; d < best_.size(); ++d) {
      for (const Profile* profile : Flatten(model_, *best_[d])) {
        const auto home = std::find_if(left.begin(), left.end(), [&](const Placement& placement) {
          return placement.profile == profile;
        });
        gpu.push_back({d, *home});
        left.erase(home);
      }
    }
    return gpu;
  }

 private:
  void Next(size_t demand) {
    if (!Fits()) return;
    if (demand == sets_.size()) {
      const Layout& layout = Home(total_);
      const int room = Room(model_, layout);
      if (room <= best_room_) return;
      best_room_ = room;
      best_ = chosen_;
      best_layout_ = layout;
      return;
    }
    for (const Counts& set : sets_[demand]) {
      for (size_t p = 0; p < set.size(); ++p) total_[p] += set[p];
      chosen_[demand] = &set;
      Next(demand + 1);
      for (size_t p = 0; p < set.size(); ++p) total_[p] -= set[p];
    }
  }

  bool Fits() {
    int compute = 0;
    int memory = 0;
    bool any = false;
    for (size_t p = 0; p < total_.size(); ++p) {
      any = any || total_[p] > 0;
      compute += total_[p] * model_.profiles[p].compute_slices;
      memory += total_[p] * model_.profiles[p].memory_slices;
    }
    if (compute > model_.compute_slices || memory > model_.memory_slices) return false;
    return !any || !Home(total_).empty();
  }

  const Layout& Home(const Counts& counts) {
    const auto [known, added] = homes_.try_emplace(counts);
    if (added) known->second = Place(model_, {}, Flatten(model_, counts));
    return known->second;
  }

  const GpuModel& model_;
  std::vector<std::vector<Counts>> sets_;  // Of each demand.
  Counts total_;
  std::vector<const Counts*> chosen_;
  std::vector<const Counts*> best_;
  Layout best_layout_;
  int best_room_ = -1;
  std::map<Counts, Layout> homes_;
};

}  // namespace

Result<Throughputs> WithinLatency(const GpuModel& model, std::span<const Measurement> measured,
                                  std::span<const Demand> demands) {
  Throughputs throughputs;
  for (size_t d = 0; d < demands.size(); ++d) {
    const Demand& demand = demands[d];
    std::vector<double> best(model.profiles.size(), 0);
    const Measurement* quickest = nullptr;
    for (const Measurement& point : measured) {
      const Profile* const profile = FindProfile(model, point.profile);
      if (point.model != demand.model || profile == nullptr) continue;
      if (quickest == nullptr || point.p99_ms < quickest->p99_ms) quickest = &point;
      if (point.p99_ms > demand.p99_ms) continue;
      double& most = best[static_cast<size_t>(profile - model.profiles.data())];
      most = std::max(most, point.throughput_per_s);
    }
    const std::string field = Concat("field 'models[", d, "]");
    if (quickest == nullptr) {
      return InvalidArgument(Concat(field, ".model': got '", demand.model,
                                    "', expected a model with measurements on profiles of ",
                                    model.alias));
    }
    if (std::none_of(best.begin(), best.end(), [](double value) { return value > 0; })) {
      return InvalidArgument(Concat(field, ".p99_ms': got ", demand.p99_ms, ", expected at least ",
                                    quickest->p99_ms, ", the best that was measured of '",
                                    demand.model, "' (", quickest->profile, ")"));
    }
    throughputs.push_back(std::move(best));
  }
  return throughputs;
}

AdvisedGpu AdviseOneGpu(const GpuModel& model, const Throughputs& throughputs,
                        std::span<const double> traffic) {
  // Each needs an instance of its own.
  const auto asked = std::count_if(traffic.begin(), traffic.end(), [](double t) { return t > 0; });
  if (asked > model.compute_slices) return {};
  return OneGpu(model, throughputs, traffic).Take();
}

}  // namespace tepal::mig
