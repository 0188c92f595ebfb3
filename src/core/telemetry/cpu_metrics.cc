#include "core/telemetry/cpu_metrics.h"

#include <memory>
#include <string>
#include <vector>

#include "core/base/text.h"

namespace tepal::telemetry {
namespace {

constexpr uint64_t kFileBytesMax = 1 << 20;

// The words of a line, without the spaces between them.
std::vector<std::string_view> Words(std::string_view line) {
  std::vector<std::string_view> words;
  for (const std::string_view word : Split(line, ' ')) {
    if (!word.empty()) words.push_back(word);
  }
  return words;
}

class MachineReader {
 public:
  MachineReader(env::FileSystem& files, const env::Clock& clock, Duration interval)
      : files_(files), clock_(clock), interval_(interval) {
    Refresh();
  }

  void Write(PrometheusWriter& out) {
    if (clock_.Now() - read_at_ >= interval_) Refresh();
    constexpr auto kGauge = PrometheusWriter::Type::kGauge;
    if (ticks_.has_value()) {
      out.Family("nv_cpu_utilization", "CPU utilization rate [0.0 - 1.0]", kGauge);
      out.Sample({}, utilization_);
    }
    if (!memory_.has_value()) return;
    out.Family("nv_cpu_memory_total_bytes", "CPU total memory (RAM), in bytes", kGauge);
    out.Sample({}, memory_->total);
    out.Family("nv_cpu_memory_used_bytes", "CPU used memory (RAM), in bytes", kGauge);
    out.Sample({}, memory_->total - memory_->available);
  }

 private:
  void Refresh() {
    read_at_ = clock_.Now();
    const Result<std::string> stat = files_.Read("/proc/stat", kFileBytesMax);
    const Result<std::string> meminfo = files_.Read("/proc/meminfo", kFileBytesMax);
    memory_ = meminfo.ok() ? ParseMemInfo(*meminfo) : std::nullopt;
    const auto now = stat.ok() ? ParseProcStat(*stat) : std::nullopt;
    if (now && ticks_ && now->total > ticks_->total && now->busy >= ticks_->busy) {
      utilization_ = static_cast<double>(now->busy - ticks_->busy) /
                     static_cast<double>(now->total - ticks_->total);
    }
    ticks_ = now;
  }

  env::FileSystem& files_;
  const env::Clock& clock_;
  const Duration interval_;
  Instant read_at_{};
  std::optional<CpuTicks> ticks_;
  double utilization_ = 0;  // Between the last two readings.
  std::optional<MemoryBytes> memory_;
};

}  // namespace

// "cpu  user nice system idle iowait irq softirq steal …"; guests are in user already.
std::optional<CpuTicks> ParseProcStat(std::string_view text) {
  constexpr size_t kIdle = 4, kIoWait = 5, kSteal = 8;
  const std::vector<std::string_view> words = Words(text.substr(0, text.find('\n')));
  if (words.size() <= kIdle || words[0] != "cpu") return std::nullopt;
  CpuTicks ticks;
  for (size_t i = 1; i < words.size() && i <= kSteal; ++i) {
    const auto spent = ParseNumber<uint64_t>(words[i]);
    if (!spent) return std::nullopt;
    ticks.total += *spent;
    if (i != kIdle && i != kIoWait) ticks.busy += *spent;
  }
  return ticks;
}

std::optional<MemoryBytes> ParseMemInfo(std::string_view text) {
  std::optional<uint64_t> total, available;
  for (const std::string_view line : Split(text, '\n')) {
    const std::vector<std::string_view> words = Words(line);
    if (words.size() < 2) continue;
    if (words[0] == "MemTotal:") total = ParseNumber<uint64_t>(words[1]);
    if (words[0] == "MemAvailable:") available = ParseNumber<uint64_t>(words[1]);
  }
  if (!total || !available || *available > *total) return std::nullopt;
  constexpr uint64_t kUnit = 1024;
  return MemoryBytes{*total * kUnit, *available * kUnit};
}

void AddCpuMetrics(MetricsRegistry& registry, env::FileSystem& files, const env::Clock& clock,
                   Duration interval) {
  // The registry calls one collector at a time.
  auto reader = std::make_unique<MachineReader>(files, clock, interval);
  registry.Add([reader = std::move(reader)](PrometheusWriter& out) { reader->Write(out); });
}

}  // namespace tepal::telemetry
