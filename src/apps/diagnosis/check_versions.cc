// Versions and kinds that are gone or on their way out.

#include "apps/diagnosis/api_versions.h"
#include "apps/diagnosis/check_manifests.h"
#include "core/base/text.h"

namespace tepal::diagnosis {
namespace {

void CheckVersion(const Manifest& manifest, Report& report) {
  const auto removed = FindRemovedVersion(manifest.api_version, manifest.kind);
  if (!removed.has_value()) return;
  const bool hpa_fields = manifest.kind == "HorizontalPodAutoscaler";
  report.Add(
      manifest, LineOf(manifest.get(), "apiVersion"), Severity::kError, "removed-api",
      Concat(manifest.api_version, " of ", manifest.kind, " was removed in Kubernetes ",
             removed->removed_in, ": the API server refuses it"),
      removed->replacement.empty()
          ? "there is no replacement: remove the object"
          : Concat("write apiVersion: ", removed->replacement,
                   hpa_fields ? ", and each metric as {type, pods: {metric: {name}, target: {type: "
                                "AverageValue, averageValue}}}"
                              : ""));
}

void CheckKind(const Manifest& manifest, Report& report) {
  const int line = LineOf(manifest.get(), "kind");
  if (manifest.kind == "ReplicationController") {
    report.Add(manifest, line, Severity::kWarning, "legacy-kind",
               "a ReplicationController cannot roll out a change: its pods keep what they were "
               "started with until somebody deletes them",
               "make it a Deployment (apps/v1), with selector.matchLabels");
  } else if (manifest.kind == "Endpoints" && manifest.api_version == "v1") {
    report.Add(manifest, line, Severity::kWarning, "legacy-kind",
               "Endpoints are deprecated since Kubernetes 1.33",
               "use EndpointSlice (discovery.k8s.io/v1), or a Service with a selector");
  } else if (manifest.kind == "PodSecurityPolicy") {
    report.Add(manifest, line, Severity::kError, "removed-api",
               "PodSecurityPolicy was removed in Kubernetes 1.25",
               "label the namespace pod-security.kubernetes.io/enforce: restricted");
  }
}

// Blanks that a reader of an example should have filled in.
void CheckBlanks(const Manifest& manifest, const YamlNode& node, Report& report) {
  const std::string_view text = Trim(node.scalar);
  if (text.size() > 2 && text.front() == '<' && text.back() == '>') {
    report.Add(manifest, node.line, Severity::kError, "blank",
               Concat("'", text, "' is a blank that was not filled in"), "write the real value");
  }
  for (const YamlMember& member : node.members) CheckBlanks(manifest, member.node, report);
  for (const YamlNode& element : node.elements) CheckBlanks(manifest, element, report);
}

}  // namespace

void CheckVersions(const Bundle& bundle, Report& report) {
  for (const auto& manifest : bundle.manifests) {
    CheckVersion(*manifest, report);
    CheckKind(*manifest, report);
    CheckBlanks(*manifest, *manifest->root, report);
  }
}

}  // namespace tepal::diagnosis
