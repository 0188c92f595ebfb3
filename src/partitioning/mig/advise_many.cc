// Many GPUs: a good packing, and a bound that says how good.

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "core/base/text.h"
#include "core/env/random.h"
#include "partitioning/mig/advise.h"

namespace tepal::mig {
namespace {

// How often a few GPUs are emptied and filled again; fewer times where there are many.
constexpr size_t kRoundsMax = 400;
constexpr size_t kRoundsMin = 20;
constexpr size_t kRoundsTimesGpus = 8000;
// A traffic is served when no more of it than this part is left: sums of decimals are not exact.
constexpr double kNothing = 1e-9;

using Traffic = std::vector<double>;

size_t IndexOf(const GpuModel& model, const Profile* profile) {
  return static_cast<size_t>(profile - model.profiles.data());
}

class Packing {
 public:
  Packing(const GpuModel& model, const Throughputs& throughputs, Traffic traffic, uint64_t seed)
      : model_(model), throughputs_(throughputs), traffic_(std::move(traffic)), random_(seed) {
    std::vector<const Profile*> useful;
    for (size_t p = 0; p < model.profiles.size(); ++p) {
      const auto serves = [p](const std::vector<double>& of) { return of[p] > 0; };
      if (std::any_of(throughputs.begin(), throughputs.end(), serves)) {
        useful.push_back(&model.profiles[p]);
      }
    }
    layouts_ = MaximalLayouts(model, useful);
    // Demands of which little can be served next to each other are worth more: a request a second
    // counts as the slices that serve it best.
    for (const std::vector<double>& of : throughputs) {
      double most = 0;
      for (size_t p = 0; p < of.size(); ++p) {
        most = std::max(most, of[p] / model.profiles[p].memory_slices);
      }
      worth_.push_back(1 / most);
    }
  }

  Result<std::vector<AdvisedGpu>> Search(int enough) {
    std::vector<AdvisedGpu> best;
    RETURN_IF_ERROR(Fill(best));
    const size_t rounds =
        std::clamp(kRoundsTimesGpus / std::max<size_t>(best.size(), 1), kRoundsMin, kRoundsMax);
    std::vector<AdvisedGpu> current = best;
    const std::vector<double> worth = worth_;
    for (size_t round = 0; round < rounds && best.size() > static_cast<size_t>(enough); ++round) {
      std::vector<AdvisedGpu> tried = current;
      for (uint64_t empty = 1 + random_.Below(3); empty > 0 && !tried.empty(); --empty) {
        tried.erase(tried.begin() + static_cast<std::ptrdiff_t>(random_.Below(tried.size())));
      }
      for (size_t d = 0; d < worth.size(); ++d) worth_[d] = worth[d] * (0.7 + 0.6 * random_.Unit());
      RETURN_IF_ERROR(Fill(tried));
      if (tried.size() <= current.size()) current = std::move(tried);
      if (current.size() < best.size()) best = current;
    }
    worth_ = worth;
    return best;
  }

 private:
  // What `gpus` leave unserved.
  Traffic Left(std::span<const AdvisedGpu> gpus) const {
    Traffic left = traffic_;
    for (const AdvisedGpu& gpu : gpus) {
      for (const AdvisedReplica& replica : gpu) left[replica.demand] -= ServedBy(replica);
    }
    for (size_t d = 0; d < left.size(); ++d) {
      if (left[d] <= kNothing * traffic_[d]) left[d] = 0;
    }
    return left;
  }
  double ServedBy(const AdvisedReplica& replica) const {
    return throughputs_[replica.demand][IndexOf(model_, replica.placement.profile)];
  }

  Status Fill(std::vector<AdvisedGpu>& gpus) {
    for (;;) {
      Traffic left = Left(gpus);
      if (std::all_of(left.begin(), left.end(), [](double rest) { return rest <= 0; })) return {};
      if (gpus.size() >= static_cast<size_t>(kAdvisedGpusMax)) {
        return ResourceExhausted(
            Concat("the traffic needs more GPUs than ", kAdvisedGpusMax, ", the most planned for"));
      }
      AdvisedGpu last = AdviseOneGpu(model_, throughputs_, left);
      gpus.push_back(last.empty() ? BestFor(left) : std::move(last));
    }
  }

  // The layout, and who gets its instances, that serves what is worth most.
  AdvisedGpu BestFor(const Traffic& left) const {
    AdvisedGpu best;
    double most = -1;
    for (const Layout& layout : layouts_) {
      Traffic rest = left;
      AdvisedGpu gpu;
      double value = 0;
      Layout large_first = layout;
      std::stable_sort(large_first.begin(), large_first.end(), [](const auto& a, const auto& b) {
        return a.profile->memory_slices > b.profile->memory_slices;
      });
      for (const Placement& placement : large_first) {
        const size_t p = IndexOf(model_, placement.profile);
        std::optional<size_t> chosen;
        double gain = 0;
        for (size_t d = 0; d < rest.size(); ++d) {
          const double here = std::min(throughputs_[d][p], rest[d]) * worth_[d];
          if (here <= gain) continue;
          gain = here;
          chosen = d;
        }
        if (!chosen.has_value()) continue;
        value += gain;
        rest[*chosen] = std::max(0.0, rest[*chosen] - throughputs_[*chosen][p]);
        gpu.push_back({*chosen, placement});
      }
      if (value <= most) continue;
      most = value;
      best = std::move(gpu);
    }
    return best;
  }

  const GpuModel& model_;
  const Throughputs& throughputs_;
  const Traffic traffic_;
  env::SeededRandom random_;
  std::vector<Layout> layouts_;
  std::vector<double> worth_;
};

// The least weight of instances that serve `traffic`; weights are at least 1.
int LeastWeight(const std::vector<double>& throughputs, std::span<const int> weights,
                double traffic) {
  std::vector<double> most = {0};  // By weight.
  while (most.back() < traffic * (1 - kNothing)) {
    const int weight = static_cast<int>(most.size());
    double served = most.back();
    for (size_t p = 0; p < throughputs.size(); ++p) {
      if (throughputs[p] <= 0 || weights[p] > weight) continue;
      served = std::max(served, most[static_cast<size_t>(weight - weights[p])] + throughputs[p]);
    }
    most.push_back(served);
    // Beyond every plan: what is left would only raise the bound.
    if (most.size() > static_cast<size_t>(kAdvisedGpusMax) * 1000) break;
  }
  return static_cast<int>(most.size()) - 1;
}

}  // namespace

int GpusLowerBound(const GpuModel& model, const Throughputs& throughputs,
                   std::span<const double> traffic) {
  std::vector<const Profile*> all;
  for (const Profile& profile : model.profiles) all.push_back(&profile);
  const std::vector<Layout> layouts = MaximalLayouts(model, all);
  int bound = 0;
  for (const auto& [compute, memory] : {std::pair{1, 0}, {0, 1}, {1, 1}, {2, 1}, {1, 2}, {0, 0}}) {
    std::vector<int> weights;
    for (const Profile& profile : model.profiles) {
      // 0, 0: of each instance the same.
      weights.push_back(
          std::max(1, compute * profile.compute_slices + memory * profile.memory_slices));
    }
    int64_t heaviest = 0;
    for (const Layout& layout : layouts) {
      int64_t weight = 0;
      for (const Placement& placement : layout)
        weight += weights[IndexOf(model, placement.profile)];
      heaviest = std::max(heaviest, weight);
    }
    int64_t least = 0;
    for (size_t d = 0; d < throughputs.size(); ++d) {
      least += LeastWeight(throughputs[d], weights, traffic[d]);
    }
    bound = std::max(bound, static_cast<int>((least + heaviest - 1) / heaviest));
  }
  return bound;
}

Result<Advice> AdviseGpus(const GpuModel& model, const Throughputs& throughputs,
                          std::span<const Demand> demands, uint64_t seed) {
  Traffic traffic;
  for (const Demand& demand : demands) traffic.push_back(demand.traffic_per_s);
  Advice advice;
  advice.lower_bound = GpusLowerBound(model, throughputs, traffic);
  if (advice.lower_bound > kAdvisedGpusMax) {
    return ResourceExhausted(Concat("the traffic needs at least ", advice.lower_bound,
                                    " GPUs; at most ", kAdvisedGpusMax, " are planned for"));
  }
  if (AdvisedGpu one = AdviseOneGpu(model, throughputs, traffic); !one.empty()) {
    advice.gpus.push_back(std::move(one));
    return advice;
  }
  if (advice.lower_bound == 0) return advice;  // Nothing is wanted.
  advice.lower_bound = std::max(advice.lower_bound, 2);
  Packing packing(model, throughputs, traffic, seed);
  ASSIGN_OR_RETURN(advice.gpus, packing.Search(advice.lower_bound));
  return advice;
}

}  // namespace tepal::mig
