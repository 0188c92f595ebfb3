#include "apps/diagnosis/check_manifests.h"

#include <algorithm>
#include <map>

namespace tepal::diagnosis {

void Report::Add(const Manifest& manifest, int line, Severity severity, std::string code,
                 std::string fault, std::string fix) {
  const auto& accepted = manifest.accepted;
  if (std::find(accepted.begin(), accepted.end(), code) != accepted.end()) return;
  Add(manifest.file, line, severity, std::move(code), std::move(fault), std::move(fix));
}

void Report::Add(const std::string& file, int line, Severity severity, std::string code,
                 std::string fault, std::string fix) {
  findings_.push_back({file, line, severity, std::move(code), std::move(fault), std::move(fix)});
}

std::vector<Finding> CheckManifests(std::span<const InputFile> files) {
  const Bundle bundle = ReadBundle(files);
  std::vector<Finding> findings = bundle.findings;
  Report report(findings);
  CheckVersions(bundle, report);
  CheckContainers(bundle, report);
  CheckWorkloads(bundle, report);
  CheckServices(bundle, report);
  CheckScaling(bundle, report);
  CheckMetricsApi(bundle, report);
  CheckMonitors(bundle, report);
  CheckAccess(bundle, report);
  CheckNginx(bundle, report);
  CheckProse(bundle, report);

  std::map<std::string, size_t> order;
  for (const InputFile& file : files) order.emplace(file.path, order.size());
  std::stable_sort(findings.begin(), findings.end(), [&](const Finding& a, const Finding& b) {
    return std::pair(order[a.place], a.line) < std::pair(order[b.place], b.line);
  });
  return findings;
}

}  // namespace tepal::diagnosis
