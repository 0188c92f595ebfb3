// Faults of manifests, alone and against each other.
//
// Written for what goes wrong around inference servers on Kubernetes: versions that are gone,
// selectors that match nothing, an HPA that asks for a metric by another name than the adapter
// publishes, rollouts that wait for a slot for ever, doors left open. What is right in a current,
// least-privileged manifest is not complained about. An object accepts a finding by naming its code
// in the annotation `tepal/accept`.
//
// Pure: files come in as texts, and nothing is asked of a cluster.

#pragma once

#include <span>
#include <vector>

#include "apps/diagnosis/bundle.h"
#include "apps/diagnosis/finding.h"

namespace tepal::diagnosis {

// Sorted by file, in the order given, and line.
std::vector<Finding> CheckManifests(std::span<const InputFile> files);

// Where the checks put what they find.
class Report {
 public:
  explicit Report(std::vector<Finding>& findings) : findings_(findings) {}

  // Nothing when `manifest` accepts the code.
  void Add(const Manifest& manifest, int line, Severity severity, std::string code,
           std::string fault, std::string fix);
  void Add(const std::string& file, int line, Severity severity, std::string code,
           std::string fault, std::string fix);

 private:
  std::vector<Finding>& findings_;
};

// The parts of CheckManifests, each for one kind of fault.
void CheckVersions(const Bundle& bundle, Report& report);    // check_versions.cc
void CheckContainers(const Bundle& bundle, Report& report);  // check_containers.cc
void CheckWorkloads(const Bundle& bundle, Report& report);   // check_workloads.cc
void CheckServices(const Bundle& bundle, Report& report);    // check_services.cc
void CheckScaling(const Bundle& bundle, Report& report);     // check_scaling.cc
void CheckMetricsApi(const Bundle& bundle, Report& report);  // check_metrics_api.cc
void CheckMonitors(const Bundle& bundle, Report& report);    // check_monitors.cc
void CheckAccess(const Bundle& bundle, Report& report);      // check_access.cc
void CheckNginx(const Bundle& bundle, Report& report);       // check_nginx.cc
void CheckProse(const Bundle& bundle, Report& report);       // check_prose.cc

}  // namespace tepal::diagnosis
