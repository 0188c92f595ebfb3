// From what was measured and what is wanted to a partitioning: which layout each GPU gets and which
// model runs in each instance, so that the wanted traffic is served within its latency by the
// fewest GPUs.
//
// One GPU is exact: every smallest set of instances for each model is tried, and of what fits the
// layout that leaves the most Room is taken. Many GPUs is NP-hard: fill one after the other
// with what is worth most, then empty a few of them and fill again, many times from a seed; a lower
// bound says how far from the best the result can be at most. Pure; any thread.

#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "partitioning/mig/layout.h"
#include "partitioning/mig/planner.h"

namespace tepal::mig {

// Limits of one question.
inline constexpr size_t kDemandsMax = 64;
inline constexpr int kAdvisedGpusMax = 1024;

// One point of a measurement: what one server on an instance of `profile` did.
struct Measurement {
  std::string model = {};
  std::string profile = {};
  double throughput_per_s = 0;
  double p99_ms = 0;
};

struct Demand {
  std::string model = {};
  double traffic_per_s = 0;
  double p99_ms = 0;  // At most.
};

// What is measured, from CSV with a header line: the columns model, profile, throughput_per_s and
// p99_ms, in any order and beside any others. kInvalidArgument names line, column, value, expected.
inline constexpr size_t kMeasurementsMax = 100'000;
Result<std::vector<Measurement>> ParseMeasurements(std::string_view csv, const std::string& file);

// What is wanted, from YAML: "models:", a list of {model, traffic_per_s, p99_ms}.
Result<std::vector<Demand>> ParseDemands(std::string_view yaml, const std::string& file);

// What one instance serves of one demand: throughputs[demand][profile of the GPU model], 0 when it
// is not within the latency or was not measured.
using Throughputs = std::vector<std::vector<double>>;

// kInvalidArgument: a model that nobody measured on this GPU, a latency that no profile reaches.
Result<Throughputs> WithinLatency(const GpuModel& model, std::span<const Measurement> measured,
                                  std::span<const Demand> demands);

struct AdvisedReplica {
  size_t demand = 0;
  Placement placement = {};
};
using AdvisedGpu = std::vector<AdvisedReplica>;

// On one GPU, exact; empty when it is too small (or nothing is wanted).
AdvisedGpu AdviseOneGpu(const GpuModel& model, const Throughputs& throughputs,
                        std::span<const double> traffic);

struct Advice {
  std::vector<AdvisedGpu> gpus;
  int lower_bound = 0;  // No fewer GPUs can do.
};

// kResourceExhausted when it needs more than kAdvisedGpusMax.
Result<Advice> AdviseGpus(const GpuModel& model, const Throughputs& throughputs,
                          std::span<const Demand> demands, uint64_t seed);

// No partitioning of fewer GPUs serves it. Every instance weighs something, and no layout holds
// more than a known weight; the least weight that serves a demand is exact, over several weighings.
int GpusLowerBound(const GpuModel& model, const Throughputs& throughputs,
                   std::span<const double> traffic);

// Which GPU gets which of the advised layouts, and how: as few as can be that are blocked, then as
// few instances as can be destroyed, then as few resets. Where GPUs are left over they stay as they
// are.
struct Transition {
  size_t advised = 0;  // Index into Advice::gpus.
  size_t gpu = 0;      // Index into `now`.
  Plan plan;
};

// `now` has at least as many GPUs, all of one model's shape. Ordered by `gpu`.
Result<std::vector<Transition>> PlanAdvice(std::span<const GpuState> now,
                                           std::span<const AdvisedGpu> advised);

}  // namespace tepal::mig
