// nvidia-mig-parted's configuration file, version v1: named configurations, each a list of entries
// that say for some GPUs whether MIG is on and which MIG devices there are.
//
//   version: v1
//   mig-configs:
//     mixed:
//       - device-filter: ["0x20B010DE"]     # PCI device and vendor; may carry ":0x<subsystem>"
//         devices: [0, 1]                   # Or: all.
//         mig-enabled: true
//         mig-devices: {"1g.5gb": 2, "2g.10gb": 1, "3g.20gb": 1}
//
// Read as it is, down to the rules: an unknown field is an error, as is a missing one; when several
// entries mean the same GPU, the last counts. Whether profiles exist is only known beside GPUs.

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/result.h"
#include "partitioning/mig/driver.h"

namespace tepal::mig {

// The largest number of one kind of MIG device that a file may ask for.
inline constexpr int kMigDevicesMax = 64;

struct DeviceFilter {
  uint32_t device = 0;  // Device, then vendor: 0x20B010DE.
  std::optional<uint32_t> subsystem = {};

  bool Matches(const Gpu& gpu) const;
};

struct ConfigEntry {
  std::vector<DeviceFilter> filters = {};        // Empty: every model.
  std::optional<std::vector<int>> devices = {};  // Indices; nothing: all.
  bool mig_enabled = false;
  std::vector<std::pair<std::string, int>> mig_devices = {};  // "1c.3g.20gb" and how many.

  bool Matches(const Gpu& gpu) const;
};

using Config = std::vector<ConfigEntry>;

struct ConfigFile {
  std::vector<std::pair<std::string, Config>> configs = {};  // In the file's order.
};

// kInvalidArgument, a line for each mistake: "FILE:LINE: field '…': got …, expected …".
Result<ConfigFile> ParseConfigFile(std::string_view text, const std::string& file);

// The one called `name`; the only one when that is empty. kNotFound, kInvalidArgument.
Result<Config> SelectConfig(const ConfigFile& file, std::string_view name);

// What the configuration wants of each GPU it means, by index. The profiles are those of the GPU's
// model. kInvalidArgument: a GPU that cannot be partitioned, has no such profile, or no room.
Result<std::map<int, WantedGpu>> Resolve(const Config& config, const std::vector<Gpu>& gpus);

// "0x20B010DE" or "0x20B010DE:0x134F10DE"; nothing when it is neither.
std::optional<DeviceFilter> ParseDeviceFilter(std::string_view text);
std::string ToString(const DeviceFilter& filter);

// MIG devices by name as instances, compute instances of one GPU instance put together.
Result<std::vector<WantedInstance>> InstancesOf(
    const GpuModel& model, const std::vector<std::pair<std::string, int>>& mig_devices);

// How the file is written: YAML as people do, or JSON.
std::string ToYaml(const ConfigFile& file);
std::string ToJson(const ConfigFile& file);

}  // namespace tepal::mig
