// How workloads roll out, scale, and what they mount.

#include <algorithm>

#include "apps/diagnosis/check_manifests.h"
#include "apps/diagnosis/images.h"
#include "apps/diagnosis/selectors.h"
#include "apps/diagnosis/shell_text.h"
#include "core/base/text.h"
#include "core/options/values.h"

namespace tepal::diagnosis {
namespace {

class WorkloadCheck {
 public:
  WorkloadCheck(const Bundle& bundle, const Workload& workload, Report& report)
      : bundle_(bundle), workload_(workload), manifest_(*workload.manifest), report_(report) {}

  void Check() {
    CheckSelector();
    CheckOwnLabels();
    CheckSurge();
    CheckReplicas();
    for (const YamlNode& volume : ListAt(workload_.spec, "volumes")) {
      CheckNfs(volume);
      CheckConfigMap(volume);
    }
  }

 private:
  void Add(int line, Severity severity, std::string code, std::string fault, std::string fix) {
    report_.Add(manifest_, line, severity, std::move(code), std::move(fault), std::move(fix));
  }

  void CheckSelector() {
    const YamlNode* const selector = At(manifest_.get(), "spec.selector");
    if (selector == nullptr || manifest_.kind == "Pod" || manifest_.kind == "Job") return;
    const bool plain = manifest_.kind == "ReplicationController";
    const bool matches = plain ? HasLabels(workload_.labels, TextsAt(selector, ""))
                               : MatchesSelector(selector, workload_.labels);
    if (matches) return;
    Add(selector->line, Severity::kError, "selector-mismatch",
        Concat("the selector (", plain ? LabelsText(TextsAt(selector, "")) : SelectorText(selector),
               ") does not match the labels of its own pods (", LabelsText(workload_.labels),
               "): the API server refuses it"),
        "write the same labels at both places");
  }

  // A label of the object that is nearly one of its pods.
  void CheckOwnLabels() {
    if (manifest_.kind == "Pod") return;
    for (const YamlMember& label : MembersAt(manifest_.get(), "metadata.labels")) {
      const std::string near = NearestLabel({{label.name, label.node.scalar}}, workload_.labels);
      if (near.empty()) continue;
      Add(label.node.line, Severity::kWarning, "label-typo",
          Concat("the label ", label.name, "=", label.node.scalar,
                 " differs by a letter or two from that of its pods, ", near,
                 ": who selects by one does not find the other"),
          Concat("write ", near));
    }
  }

  bool HoldsSlots(std::string* name) const {
    for (const YamlNode& container : workload_.containers()) {
      for (const YamlMember& limit : MembersAt(&container, "resources.limits")) {
        if (!IsExclusiveResource(limit.name)) continue;
        *name = limit.name;
        return true;
      }
    }
    return false;
  }

  bool HoldsHostPort() const {
    for (const YamlNode& container : workload_.containers()) {
      for (const YamlNode& port : ListAt(&container, "ports")) {
        if (Find(&port, "hostPort") != nullptr) return true;
      }
    }
    return false;
  }

  void CheckSurge() {
    if (manifest_.kind != "Deployment") return;
    const YamlNode* const strategy = At(manifest_.get(), "spec.strategy");
    if (TextAt(strategy, "type") == "Recreate") return;
    const std::string_view surge = TextAt(strategy, "rollingUpdate.maxSurge");
    if (surge == "0" || surge == "0%") return;
    std::string resource;
    const bool slots = HoldsSlots(&resource);
    if (!slots && !HoldsHostPort()) return;
    Add(LineOf(manifest_.get(), "spec.strategy"), Severity::kWarning, "surge-deadlock",
        slots ? Concat("a rollout starts a new pod before it stops an old one; when every ",
                       resource, " is taken the new pod stays Pending and the rollout never ends")
              : std::string("a rollout starts a new pod beside the old one, but both want the same "
                            "port of the node: the new pod stays Pending"),
        "set strategy.rollingUpdate: {maxSurge: 0, maxUnavailable: 1}");
  }

  void CheckReplicas() {
    const YamlNode* const replicas = At(manifest_.get(), "spec.replicas");
    if (replicas == nullptr) return;
    for (const Manifest* hpa : bundle_.OfKind("HorizontalPodAutoscaler")) {
      const YamlNode* const target = At(hpa->get(), "spec.scaleTargetRef");
      if (TextAt(target, "name") != manifest_.name || TextAt(target, "kind") != manifest_.kind ||
          hpa->Namespace() != manifest_.Namespace()) {
        continue;
      }
      Add(replicas->line, Severity::kWarning, "replicas-and-hpa",
          Concat("replicas: ", replicas->scalar, " is written although ", hpa->Words(),
                 " decides: each apply throws its decision away"),
          "leave replicas out");
    }
  }

  bool AnyMountMayWrite(std::string_view volume, int* line) const {
    for (const YamlNode& container : workload_.containers()) {
      for (const YamlNode& mount : ListAt(&container, "volumeMounts")) {
        if (TextAt(&mount, "name") != volume || IsTrue(&mount, "readOnly")) continue;
        *line = mount.line;
        return true;
      }
    }
    return false;
  }

  void CheckNfs(const YamlNode& volume) {
    const YamlNode* const nfs = Find(&volume, "nfs");
    if (nfs == nullptr) return;
    for (const char* const field : {"server", "path"}) {
      if (!TextAt(nfs, field).empty()) continue;
      Add(LineOf(nfs, field), Severity::kError, "blank",
          Concat("the NFS volume '", TextAt(&volume, "name"), "' has no ", field,
                 ": the API server refuses it"),
          Concat("write the ", field, ", or mount a PersistentVolumeClaim or a ConfigMap"));
    }
    int line = 0;
    if (IsTrue(nfs, "readOnly") || !AnyMountMayWrite(TextAt(&volume, "name"), &line)) return;
    Add(LineOf(nfs, "readOnly"), Severity::kWarning, "writable-volume",
        Concat("every pod may write to the shared volume '", TextAt(&volume, "name"),
               "': one that is broken into changes what all serve"),
        "set readOnly: true at the volume and at its mounts");
  }

  void CheckConfigMap(const YamlNode& volume) {
    const std::string_view name = TextAt(&volume, "configMap.name");
    if (name.empty()) return;
    const Manifest* const map = bundle_.FindObject("ConfigMap", manifest_.Namespace(), name);
    if (map == nullptr) return CheckConfigMapName(volume, name);
    // Each file that a flag names below the mount must be a key of the map.
    for (const YamlNode& container : workload_.containers()) {
      for (const YamlNode& mount : ListAt(&container, "volumeMounts")) {
        if (TextAt(&mount, "name") != TextAt(&volume, "name")) continue;
        std::string folder(TextAt(&mount, "mountPath"));
        if (!folder.ends_with('/')) folder += '/';
        CheckMountedFiles(container, folder, *map);
      }
    }
  }

  void CheckMountedFiles(const YamlNode& container, const std::string& folder,
                         const Manifest& map) {
    for (const RunWord& word : RunOf(container).words) {
      const size_t found = word.text.find(folder);
      const bool begins = found == 0 || (found != std::string::npos && word.text[found - 1] == '=');
      if (!begins || word.text.find(' ') != std::string::npos) continue;
      const std::string file = word.text.substr(found + folder.size());
      if (file.empty() || file.find('/') != std::string::npos) continue;
      const auto& data = MembersAt(map.get(), "data");
      const bool there = std::any_of(data.begin(), data.end(),
                                     [&](const YamlMember& key) { return key.name == file; });
      if (there) continue;
      std::string keys;
      for (const YamlMember& key : data) keys += Concat(keys.empty() ? "" : ", ", key.name);
      Add(word.line, Severity::kError, "missing-file",
          Concat("'", word.text, "' names a file that ", map.Words(), " does not have"),
          Concat("it has: ", keys));
    }
  }

  void CheckConfigMapName(const YamlNode& volume, std::string_view name) {
    std::vector<std::string_view> names;
    for (const Manifest* map : bundle_.OfKind("ConfigMap")) names.push_back(map->name);
    const auto near = options::NearestName(name, names);
    if (!near.has_value()) return;  // It may be in the cluster.
    const bool elsewhere = *near == name;
    Add(LineOf(&volume, "configMap.name"), Severity::kError, "missing-config",
        Concat("there is no ConfigMap '", name, "' in the namespace ", manifest_.Namespace()),
        elsewhere ? "the one of that name is in another namespace" : Concat("write ", *near));
  }

  const Bundle& bundle_;
  const Workload& workload_;
  const Manifest& manifest_;
  Report& report_;
};

}  // namespace

void CheckWorkloads(const Bundle& bundle, Report& report) {
  for (const Workload& workload : WorkloadsOf(bundle)) {
    WorkloadCheck(bundle, workload, report).Check();
  }
}

}  // namespace tepal::diagnosis
