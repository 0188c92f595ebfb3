// What the pods on a node's MIG devices are to cost when their ReplicaSet is scaled down: the
// annotation by which Kubernetes chooses the victims, so that large placements become free.
//
// The unit is the GPU instance: all pods in it share its cost, and a pod in several costs as much
// as the dearest. An instance can be emptied only when each of its pods belongs to a ReplicaSet,
// whose controller alone reads the annotation, and nobody else set its cost. The value that we
// wrote is written down in a second annotation: a pod where the two differ, or one is missing, is
// somebody else's word and left alone; to give it back, remove both. Pods that end count as gone.
//
// Pure functions of what the driver, the kubelet and the API server say.

#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/json/value.h"
#include "partitioning/mig/driver.h"
#include "partitioning/node_agent/held_devices.h"

namespace tepal::node_agent {

inline constexpr std::string_view kCostAnnotation = "controller.kubernetes.io/pod-deletion-cost";
inline constexpr std::string_view kOurCostAnnotation = "tepal.io/pod-deletion-cost";

struct PodCostPatch {
  std::string name_space, name;
  std::string merge_patch;  // Refused with a conflict when the pod has changed since.
};

// `holders`: as the kubelet said it, before `pods` (API objects, of this node) were listed: who is
// not among them is gone. By namespace and name.
std::vector<PodCostPatch> DeletionCostPatches(std::span<const mig::Gpu> gpus,
                                              std::span<const PodDevices> holders,
                                              std::span<const json::Value> pods);

}  // namespace tepal::node_agent
