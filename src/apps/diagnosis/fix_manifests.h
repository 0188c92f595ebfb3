// Manifests put right: what check_manifests.h finds, corrected where one correction is sensible.
//
// Documents without a fault are left byte for byte; of one that changes, comments and the
// order of fields stay. Images that cannot be pulled become ours, which take the same command
// lines. What only a person can know (where the models are) is filled in from FixOptions, and
// `remarks` says so. What is written is what CheckManifests has no fault with.
//
// Pure: nothing is written here.

#pragma once

#include <span>
#include <string>
#include <vector>

#include "apps/diagnosis/bundle.h"

namespace tepal::diagnosis {

struct FixOptions {
  std::string image = "tepal:0.1.0";
  std::string models_claim = "models";  // A PersistentVolumeClaim, where a volume says nothing.
  std::string models_nfs;               // "SERVER:/PATH" instead of the claim.
  std::string prometheus_url = "http://prometheus-operated.monitoring.svc:9090";
};

struct FixedFile {
  std::string path;
  std::string text;
  bool changed = false;
  bool added = false;  // There was none: `path` is beside the file that needs it.
};

struct FixResult {
  std::vector<FixedFile> files;  // All but prose, in order; those that were added come last.
  std::vector<std::string> remarks;
};

FixResult FixManifests(std::span<const InputFile> files, const FixOptions& options);

// The parts of FixManifests. Each changes one object, and may add documents and remarks.
struct FixContext {
  const Bundle& bundle;
  const FixOptions& options;
  std::string file;                  // That the object is in.
  std::vector<std::string> further;  // Documents that belong behind it, as YAML.
  std::vector<FixedFile> added;
  std::vector<std::string> remarks;
};
void FixWorkload(YamlNode& object, FixContext& context);  // fix_workload.cc
void FixContainer(YamlNode& container, YamlNode& pod_spec, const YamlNode& object,
                  FixContext& context);                       // fix_container.cc
void FixService(YamlNode& object, FixContext& context);       // fix_scaling.cc
void FixAutoscaler(YamlNode& object, FixContext& context);    // fix_scaling.cc
void FixAdapterRules(YamlNode& object, FixContext& context);  // fix_rules.cc
void FixApiService(YamlNode& object, FixContext& context);    // fix_rules.cc

// What nginx.conf should be: the text with its blanks filled in and its faults corrected.
std::string FixNginx(std::string_view text, const Bundle& bundle);

}  // namespace tepal::diagnosis
