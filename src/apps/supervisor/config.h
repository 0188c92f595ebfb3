// tepal.yaml, read and checked. examples/flower/tepal.yaml documents every field.
//
// Opens no file and touches no system: text in, one struct out. Every mistake of the file is named
// in one error, with its line, what was there and what was expected.

#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/supervisor/replica_set.h"
#include "balancing/load_balancer/choice.h"
#include "core/base/result.h"
#include "core/env/network.h"
#include "scaling/autoscaling/autoscaler.h"

namespace tepal::supervisor {

inline constexpr int kSlotsMax = 64;

enum class QuotaMode {
  kAuto,      // Enforced where the system allows it, said plainly where not.
  kRequired,  // Refuses to start without.
  kOff,
};

enum class SlotSource {
  kCpu,   // Shares of the machine's CPUs.
  kMig,   // MIG devices.
  kGpu,   // Whole GPUs, with MIG off.
  kAuto,  // MIG devices and whole GPUs; shares of CPU where there is no GPU.
};

struct SlotsConfig {
  SlotSource source = SlotSource::kCpu;
  int count = 0;  // At most so many; 0: not said, which is as many as there are (CPU: of CPUs).
  std::vector<std::string> gpus = {};      // Indices or UUIDs; empty: every GPU.
  std::vector<std::string> profiles = {};  // Of MIG devices; empty: every profile.
  double cores = 0;  // CPUs of one slot; 0: kSlotsShare of the machine's, divided by `count`.
  QuotaMode quota = QuotaMode::kAuto;
};

struct MetricConfig {
  double target = 0;  // Requests per replica, or milliseconds.
  Duration window{};
};

struct AutoscalerConfig {
  autoscaling::AutoscalerOptions options;
  Duration period = 1s;  // Between two decisions.
  std::optional<MetricConfig> in_flight;
  std::optional<MetricConfig> queue_time;
};

struct BalancerConfig {
  env::Address listen{env::Address::Family::kIp4, "127.0.0.1", 8000};
  env::Address admin{env::Address::Family::kIp4, "127.0.0.1", 8080};
  lb::ChoicePolicy policy = lb::ChoicePolicy::kLeastOutstanding;
  uint32_t in_flight_max = 0;  // Of one replica; 0: no limit.
  uint32_t queue_size_max = 1024;
  Duration queue_time_max = 30s;
};

struct UpConfig {
  std::string model_repository;     // As written: relative to the file.
  std::vector<std::string> models;  // Empty: every model of the repository.
  std::vector<std::string> serve_flags;
  std::string state_directory = "tepal-state";
  BalancerConfig balancer;
  SlotsConfig slots;
  AutoscalerConfig autoscaler;
  ReplicaSetOptions replicas;  // With `slots` filled in: the most there can be.
};

// `file` is for messages.
Result<UpConfig> ParseUpConfig(std::string_view text, const std::string& file);

}  // namespace tepal::supervisor
