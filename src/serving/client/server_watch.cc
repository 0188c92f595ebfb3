#include "serving/client/server_watch.h"

#include <utility>

#include "core/base/text.h"

namespace tepal::client {
namespace {

// USER_HZ: what proc(5) calls a clock tick is a hundredth of a second on every Linux we run on.
constexpr double kTicksPerSecond = 100;
constexpr uint64_t kStatBytesMax = 4096;
constexpr size_t kUserTimeField = 11, kSystemTimeField = 12;  // After the command's ')'.

}  // namespace

Result<double> ServerWatch::CpuSeconds(const std::string& process) const {
  const std::string path = Concat("/proc/", process, "/stat");
  ASSIGN_OR_RETURN(const std::string text, files_.Read(path, kStatBytesMax));
  // The command's name may hold spaces and brackets.
  const size_t end = text.rfind(") ");
  if (end == std::string::npos) return Internal(Concat(path, " has no command's name"));
  const auto fields = Split(std::string_view(text).substr(end + 2), ' ');
  if (fields.size() <= kSystemTimeField) return Internal(Concat(path, " is too short"));
  const auto user = ParseNumber<uint64_t>(fields[kUserTimeField]);
  const auto system = ParseNumber<uint64_t>(fields[kSystemTimeField]);
  if (!user || !system) return Internal(Concat(path, " has no CPU times"));
  return static_cast<double>(*user + *system) / kTicksPerSecond;
}

Status ServerWatch::Check() {
  if (options_.server_pid == 0) return {};
  return CpuSeconds(Concat(options_.server_pid))
      .WithContext(Concat("reading the CPU time of process ", options_.server_pid))
      .status();
}

void ServerWatch::Read() {
  Reading& reading = readings_.emplace_back();
  if (const auto cpu = CpuSeconds("self"); cpu.ok()) reading.client_cpu_s = *cpu;
  if (options_.server_pid != 0) {
    const auto cpu = CpuSeconds(Concat(options_.server_pid));
    if (cpu.ok()) reading.server_cpu_s = *cpu;
  }
  if (options_.statistics == nullptr) return;
  ++pending_;
  options_.statistics->Statistics(
      options_.model, options_.time_max,
      [this, index = readings_.size() - 1](Result<ModelStatistics> statistics) {
        if (statistics.ok()) readings_[index].statistics = *statistics;
        --pending_;
        if (pending_ == 0 && when_complete_) std::exchange(when_complete_, nullptr)();
      });
}

void ServerWatch::WhenComplete(Function<void()> done) {
  if (pending_ == 0) return done();
  when_complete_ = std::move(done);
}

PhaseCost ServerWatch::CostOf(size_t phase, uint64_t requests) const {
  PhaseCost cost;
  if (phase + 1 >= readings_.size() || requests == 0) return cost;
  const Reading& before = readings_[phase];
  const Reading& after = readings_[phase + 1];
  const auto each_us = [](double seconds, uint64_t count) {
    return seconds * 1e6 / static_cast<double>(count);
  };
  cost.client_cpu_us = each_us(after.client_cpu_s - before.client_cpu_s, requests);
  if (before.server_cpu_s && after.server_cpu_s) {
    cost.server_cpu_us = each_us(*after.server_cpu_s - *before.server_cpu_s, requests);
  }
  if (!before.statistics || !after.statistics) return cost;
  const ModelStatistics &from = *before.statistics, &to = *after.statistics;
  // A model that was loaded again meanwhile counts from 0.
  if (to.success.count <= from.success.count || to.execution_count <= from.execution_count) {
    return cost;
  }
  const uint64_t answered = to.success.count - from.success.count;
  const auto mean_us = [&](const ModelStatistics::Total& a, const ModelStatistics::Total& b) {
    return static_cast<double>(b.ns - a.ns) / 1e3 / static_cast<double>(answered);
  };
  cost.work =
      PhaseCost::Work{static_cast<double>(to.inference_count - from.inference_count) /
                          static_cast<double>(to.execution_count - from.execution_count),
                      mean_us(from.queue, to.queue), mean_us(from.compute_input, to.compute_input),
                      mean_us(from.compute_infer, to.compute_infer),
                      mean_us(from.compute_output, to.compute_output)};
  return cost;
}

}  // namespace tepal::client
