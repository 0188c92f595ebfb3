#include "core/gpu/gpu_metrics.h"

#include <optional>
#include <string>
#include <utility>

#include "core/base/text.h"
#include "core/gpu/library.h"
#include "core/gpu/nvml_api.h"
#include "core/telemetry/log.h"

namespace tepal::gpu {

std::unique_ptr<NvmlApi> NvmlApi::Load(const char* library_name, std::string& problem) {
  Library library(library_name);
  auto api = std::make_unique<NvmlApi>();
  library.Find(api->Init, "nvmlInit_v2");
  library.Find(api->GetHandleByUuid, "nvmlDeviceGetHandleByUUID");
  library.Find(api->GetUtilization, "nvmlDeviceGetUtilizationRates");
  library.Find(api->GetMemory, "nvmlDeviceGetMemoryInfo");
  library.Find(api->GetPowerUsage, "nvmlDeviceGetPowerUsage");
  library.Find(api->GetPowerLimit, "nvmlDeviceGetEnforcedPowerLimit");
  library.Find(api->GetEnergy, "nvmlDeviceGetTotalEnergyConsumption");
  problem = library.problem();
  if (!problem.empty()) return nullptr;
  return api;
}

namespace {

using telemetry::PrometheusWriter;

constexpr double kPerCent = 100.0;
constexpr double kPerThousand = 1000.0;  // Milliwatts and millijoules.

struct Reading {
  std::optional<double> utilization, memory_total, memory_used, power, power_limit, energy;
};

struct Family {
  std::string_view name;
  std::string_view help;
  PrometheusWriter::Type type;
  std::optional<double> Reading::*value;
};

constexpr auto kGauge = PrometheusWriter::Type::kGauge;
constexpr Family kFamilies[] = {
    {"nv_gpu_utilization", "GPU utilization rate [0.0 - 1.0)", kGauge, &Reading::utilization},
    {"nv_gpu_memory_total_bytes", "GPU total memory, in bytes", kGauge, &Reading::memory_total},
    {"nv_gpu_memory_used_bytes", "GPU used memory, in bytes", kGauge, &Reading::memory_used},
    {"nv_gpu_power_usage", "GPU power usage in watts", kGauge, &Reading::power},
    {"nv_gpu_power_limit", "GPU power management limit in watts", kGauge, &Reading::power_limit},
    {"nv_energy_consumption", "GPU energy consumption in joules since the Triton Server started",
     PrometheusWriter::Type::kCounter, &Reading::energy},
};

class NvmlReader {
 public:
  NvmlReader(Gpus& gpus, const env::Clock& clock, Duration interval, const char* library)
      : clock_(clock), interval_(interval) {
    if (gpus.devices().empty()) return;
    std::string problem;
    api_ = NvmlApi::Load(library, problem);
    if (api_ != nullptr && api_->Init() != kNvmlSuccess) problem = "nvmlInit fails";
    if (!problem.empty()) {
      telemetry::LogWarning(Concat("no GPU metrics are reported: ", problem));
      return;
    }
    for (const GpuDevice& device : gpus.devices()) Find(device);
    Refresh();
    for (Watched& watched : devices_) watched.energy_at_start = watched.reading.energy;
  }

  void Write(PrometheusWriter& out) {
    if (devices_.empty()) return;
    if (clock_.Now() - read_at_ >= interval_) Refresh();
    for (const Family& family : kFamilies) {
      out.Family(family.name, family.help, family.type);
      for (const Watched& watched : devices_) {
        std::optional<double> value = watched.reading.*family.value;
        if (!value.has_value()) continue;
        if (family.value == &Reading::energy) *value -= watched.energy_at_start.value_or(*value);
        out.Sample({{"gpu_uuid", watched.uuid}}, *value);
      }
    }
  }

 private:
  struct Watched {
    std::string uuid;
    NvmlDevice handle = nullptr;
    Reading reading;
    std::optional<double> energy_at_start;
  };

  // CUDA does not say whether a device is a whole GPU or a slice of one; NVML knows it by its name.
  void Find(const GpuDevice& device) {
    for (const char* prefix : {"GPU-", "MIG-"}) {
      Watched watched;
      watched.uuid = prefix + device.uuid;
      if (api_->GetHandleByUuid(watched.uuid.c_str(), &watched.handle) != kNvmlSuccess) continue;
      devices_.push_back(std::move(watched));
      return;
    }
    telemetry::LogWarning(
        Concat("no metrics of GPU ", device.ordinal, ": NVML does not know ", device.uuid));
  }

  void Refresh() {
    read_at_ = clock_.Now();
    for (Watched& watched : devices_) watched.reading = Read(watched.handle);
  }

  Reading Read(NvmlDevice device) const {
    Reading reading;
    NvmlUtilization utilization{};
    NvmlMemory memory{};
    unsigned milliwatts = 0;
    unsigned long long millijoules = 0;
    if (api_->GetUtilization(device, &utilization) == kNvmlSuccess) {
      reading.utilization = utilization.gpu / kPerCent;
    }
    if (api_->GetMemory(device, &memory) == kNvmlSuccess) {
      reading.memory_total = static_cast<double>(memory.total);
      reading.memory_used = static_cast<double>(memory.used);
    }
    if (api_->GetPowerUsage(device, &milliwatts) == kNvmlSuccess) {
      reading.power = milliwatts / kPerThousand;
    }
    if (api_->GetPowerLimit(device, &milliwatts) == kNvmlSuccess) {
      reading.power_limit = milliwatts / kPerThousand;
    }
    if (api_->GetEnergy(device, &millijoules) == kNvmlSuccess) {
      reading.energy = static_cast<double>(millijoules) / kPerThousand;
    }
    return reading;
  }

  const env::Clock& clock_;
  const Duration interval_;
  std::unique_ptr<NvmlApi> api_;
  std::vector<Watched> devices_;
  Instant read_at_{};
};

}  // namespace

void AddGpuMetrics(telemetry::MetricsRegistry& registry, Gpus& gpus, const env::Clock& clock,
                   Duration interval, const char* library) {
  // The registry calls one collector at a time.
  auto reader = std::make_unique<NvmlReader>(gpus, clock, interval, library);
  registry.Add([reader = std::move(reader)](PrometheusWriter& out) { reader->Write(out); });
}

}  // namespace tepal::gpu
