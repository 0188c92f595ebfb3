// What is wrong with a live cluster, or with this machine, and what to do.
//
// Pure: objects as the API server sent them come in, findings go out. What may not be read is said
// and not guessed at: a check without its objects finds nothing.

#pragma once

#include <string>
#include <vector>

#include "apps/diagnosis/cluster_view.h"
#include "apps/diagnosis/finding.h"

namespace tepal::diagnosis {

std::vector<Finding> DiagnoseCluster(const ClusterView& view);

// Its parts.
void DiagnoseMetricsApis(const ClusterView& view, std::vector<Finding>& findings);
void DiagnoseRights(const ClusterView& view, std::vector<Finding>& findings);
void DiagnoseAutoscalers(const ClusterView& view, std::vector<Finding>& findings);
void DiagnoseMonitors(const ClusterView& view, std::vector<Finding>& findings);
void DiagnoseSlots(const ClusterView& view, std::vector<Finding>& findings);
void DiagnoseRollouts(const ClusterView& view, std::vector<Finding>& findings);

// This machine, from a few of its files; each is empty when it is not there.
struct MachineFacts {
  std::string driver_version;      // /proc/driver/nvidia/version
  bool gpu_devices = false;        // /dev/nvidia0
  bool mig_capabilities = false;   // /proc/driver/nvidia/capabilities/mig
  std::string cgroup_controllers;  // /sys/fs/cgroup/cgroup.controllers
};
std::vector<Finding> DiagnoseMachine(const MachineFacts& facts);

// "Deployment default/web"
std::string PlaceOf(std::string_view kind, const json::Value& object);

}  // namespace tepal::diagnosis
