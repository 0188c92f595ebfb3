// What a node offers to Kubernetes: its GPUs and MIG devices as resources, by NVIDIA's strategies.
//
//   none    whole GPUs as nvidia.com/gpu; GPUs with MIG on are left out
//   single  MIG devices as nvidia.com/gpu, when every GPU has MIG on and all devices are alike;
//           without any MIG, whole GPUs
//   mixed   each kind of MIG device as nvidia.com/mig-1g.5gb; GPUs without MIG as nvidia.com/gpu
//
// Pure functions of what the driver lists.

#pragma once

#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "partitioning/mig/driver.h"

namespace tepal::node_agent {

enum class Strategy { kNone, kSingle, kMixed };
Result<Strategy> ParseStrategy(std::string_view text);
std::string_view ToString(Strategy strategy);

struct Slot {
  std::string uuid;  // "MIG-…" or "GPU-…": its id for the kubelet, and what a container is given.
  int gpu = 0;
  int gpu_instance = -1;  // -1: a whole GPU.
  int compute_instance = -1;
  int start = -1;      // On the GPU's memory slices; -1: a whole GPU, or not known.
  std::string device;  // "1g.5gb"; empty for a whole GPU.
  bool healthy = true;
};

struct SlotPool {
  std::string resource;  // "nvidia.com/mig-1g.5gb"
  std::vector<Slot> slots;
};

struct Offer {
  std::vector<SlotPool> pools;  // By resource.
  std::string problem;          // Why nothing is offered where something could be: strategy single.
};
// A GPU that has a problem is offered by no strategy.
Offer OfferOf(std::span<const mig::Gpu> gpus, Strategy strategy);

// "mig-1g.5gb.me" of "1g.5gb+me": as part of resource and label names.
std::string ResourceSuffix(std::string_view device);

// Of `available`, `count` slots that leave most room for large instances beside them: those of the
// GPU that is used most, side by side. `must` are among them.
std::vector<std::string> Prefer(std::span<const Slot> all,
                                const std::vector<std::string>& available,
                                const std::vector<std::string>& must, size_t count);

// Errors of GPUs, by the UUID they struck; a new instance has a new UUID, and no past.
class Health {
 public:
  // Errors of the application, not of the device, change nothing (NVIDIA's list: 13, 31, 43, 45,
  // 68, 109). Whether something has become unhealthy.
  bool OnXid(const mig::XidEvent& event, std::span<const mig::Gpu> gpus);
  // Marks the slots.
  void Apply(Offer& offer) const;
  // A reset, or somebody's word.
  void Forget(const std::string& uuid) { struck_.erase(uuid); }

 private:
  std::set<std::string> struck_;
};

}  // namespace tepal::node_agent
