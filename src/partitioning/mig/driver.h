// The driver of the GPUs, as far as partitioning goes: what there is, and the few things that
// change it. A seam: nvml_driver.h is the real one, sim/nvml/machine_driver.h one without GPUs.
//
// List says what is now, whoever made it so: what `nvidia-smi mig` or a reboot changed is in it.
// Profiles and placements are the driver's own, not those of profiles.h. Whoever is no root sees
// the MIG devices, but neither where they lie nor instances without any.
//
// Errors carry the function that failed and what the driver said. kFailedPrecondition: in use.
// kPermissionDenied: for root only. kResourceExhausted: does not fit. kNotFound: is gone.
// kUnimplemented: the GPU cannot, or MIG is off. kUnavailable: no driver, or a GPU that is lost.
// One thread at a time, but for WaitForXid, which may be another's.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/base/time.h"
#include "partitioning/mig/planner.h"

namespace tepal::mig {

struct GpuProcess {
  int pid = 0;
  std::string name = {};  // Empty when it is another container's or user's.
  uint64_t memory_bytes = 0;
};

// A compute instance: what CUDA_VISIBLE_DEVICES calls a MIG device.
struct ComputeInstance {
  int id = 0;
  int slices = 0;
  std::string uuid = {};  // "MIG-…", new each time one is created.
  uint64_t memory_bytes = 0;
  int multiprocessors = 0;
  std::vector<GpuProcess> processes = {};
};

struct GpuInstance {
  int id = 0;
  Placement placement = {};                   // Start -1: not to be known without root.
  std::vector<ComputeInstance> compute = {};  // By id.
};

struct Gpu {
  int index = 0;
  std::string uuid = {};  // "GPU-…"
  std::string name = {};
  std::string bus_id = {};     // "00000000:10:00.0"
  uint32_t pci_device_id = 0;  // Device, then vendor: 0x20B010DE.
  uint32_t pci_subsystem_id = 0;
  int minor = -1;  // /dev/nvidia<minor>
  uint64_t memory_bytes = 0;
  int cuda_major = 0, cuda_minor = 0;

  std::shared_ptr<const GpuModel> model = nullptr;  // Null: it cannot be partitioned.
  bool mig_enabled = false;
  bool mig_pending = false;  // The mode after the next reset.
  bool placements_known = false;
  std::vector<GpuInstance> instances = {};  // By id.
  std::vector<GpuProcess> processes = {};   // Outside of any instance.

  std::string problem = {};  // Not empty: the driver cannot tell more of this GPU, and why.
};

// A GPU's error, on one MIG device or (-1) the whole GPU.
struct XidEvent {
  int gpu = 0;
  int gpu_instance = -1;
  int compute_instance = -1;
  uint64_t xid = 0;
};

class Driver {
 public:
  enum class Mode {
    kActive,      // It is so now.
    kNeedsReset,  // It waits for a reset that the driver cannot do by itself.
    kInUse,       // It waits for a reset: somebody has the GPU open.
  };

  virtual ~Driver() = default;

  virtual std::string Version() = 0;
  // Every GPU, by index. A GPU that is broken is in it with its `problem`. Models and their
  // profiles are the same objects in every list of one driver.
  virtual Result<std::vector<Gpu>> List() = 0;

  // Resets the GPU where its architecture needs it to switch.
  virtual Result<Mode> SetMode(int gpu, bool enabled) = 0;
  virtual Status Reset(int gpu) = 0;

  // Ids are the driver's, in no order.
  virtual Result<int> CreateInstance(int gpu, const Placement& placement) = 0;
  virtual Status DestroyInstance(int gpu, int instance) = 0;
  virtual Result<int> CreateCompute(int gpu, int instance, int slices) = 0;
  virtual Status DestroyCompute(int gpu, int instance, int compute) = 0;

  // The next error of any GPU since the first call; nothing when there was none in time.
  virtual Result<std::optional<XidEvent>> WaitForXid(Duration timeout) = 0;
};

// What the planner sees of it. MIG devices in `held` count as in use without any process.
GpuState StateOf(const Gpu& gpu, const std::set<std::string>& held = {});

// Owns what a model's views point to, for tables that come from a driver.
struct ProfileText {
  std::string name = {};
  Profile profile;  // Its name is not read.
};
std::shared_ptr<const GpuModel> MakeModel(std::string name, const GpuModel& facts,
                                          std::vector<ProfileText> profiles);

}  // namespace tepal::mig
