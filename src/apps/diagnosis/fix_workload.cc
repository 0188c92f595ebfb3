// Deployments and what else makes pods, put right.

#include <algorithm>

#include "apps/diagnosis/fix_manifests.h"
#include "apps/diagnosis/images.h"
#include "apps/diagnosis/selectors.h"
#include "apps/diagnosis/yaml_edit.h"
#include "core/base/text.h"
#include "core/options/yaml_write.h"

namespace tepal::diagnosis {
namespace {

std::string_view NamespaceOf(const YamlNode& object) {
  const std::string_view text = TextAt(&object, "metadata.namespace");
  return text.empty() ? "default" : text;
}

void MakeDeployment(YamlNode& object) {
  SetText(object, "apiVersion", "apps/v1");
  SetText(object, "kind", "Deployment");
  YamlNode& selector = Child(Child(object, "spec"), "selector");
  YamlNode labels = selector;
  labels.line = 0;
  YamlNode wrapped;
  wrapped.kind = YamlNode::Kind::kMapping;
  Set(wrapped, "matchLabels", std::move(labels));
  wrapped.line = selector.line;
  selector = std::move(wrapped);
}

void FixOwnLabels(YamlNode& object, const Labels& pod_labels) {
  YamlNode* const labels = AtIn(&object, "metadata.labels");
  if (labels == nullptr) return;
  for (YamlMember& label : labels->members) {
    const std::string near = NearestLabel({{label.name, label.node.scalar}}, pod_labels);
    if (!near.empty()) label.node.scalar = near.substr(label.name.size() + 1);
  }
}

bool NeedsRoom(const YamlNode& spec) {
  for (const YamlNode& container : ListAt(&spec, "containers")) {
    for (const YamlMember& limit : MembersAt(&container, "resources.limits")) {
      if (IsExclusiveResource(limit.name)) return true;
    }
    for (const YamlNode& port : ListAt(&container, "ports")) {
      if (Find(&port, "hostPort") != nullptr) return true;
    }
  }
  return false;
}

bool IsBlank(std::string_view text) {
  return text.empty() || (text.front() == '<' && text.back() == '>');
}

class PodFixer {
 public:
  PodFixer(YamlNode& object, YamlNode& spec, FixContext& context)
      : object_(object), spec_(spec), context_(context) {}

  void Fix() {
    bool balances = false;
    bool adapts = false;
    bool replaced = false;
    if (YamlNode* const containers = FindIn(&spec_, "containers")) {
      for (YamlNode& container : containers->elements) {
        const std::string image(TextAt(&container, "image"));
        balances |= IsNginx(image);
        adapts |= IsMetricsAdapter(image);
        FixContainer(container, spec_, object_, context_);
        replaced |= TextAt(&container, "image") != image;
      }
    }
    if (YamlNode* const volumes = FindIn(&spec_, "volumes")) {
      for (YamlNode& volume : volumes->elements) FixVolume(volume, balances && replaced);
    }
    // The secret was for the image that is no longer pulled.
    if (replaced) Erase(spec_, "imagePullSecrets");
    if (adapts) {
      GiveAccount();
    } else if (replaced) {
      SetDefault(spec_, "automountServiceAccountToken", "false");
    }
  }

 private:
  std::string Name() const { return std::string(TextAt(&object_, "metadata.name")); }

  void MakeMountsReadOnly(std::string_view volume) {
    YamlNode* const containers = FindIn(&spec_, "containers");
    if (containers == nullptr) return;
    for (YamlNode& container : containers->elements) {
      YamlNode* const mounts = FindIn(&container, "volumeMounts");
      if (mounts == nullptr) continue;
      for (YamlNode& mount : mounts->elements) {
        if (TextAt(&mount, "name") == volume) SetText(mount, "readOnly", "true");
      }
    }
  }

  void FixVolume(YamlNode& volume, bool balances) {
    const std::string name(TextAt(&volume, "name"));
    if (FindIn(&volume, "configMap") != nullptr) return MakeMountsReadOnly(name);
    YamlNode* const nfs = FindIn(&volume, "nfs");
    if (nfs == nullptr) return;
    MakeMountsReadOnly(name);
    const bool blank = IsBlank(TextAt(nfs, "server")) || IsBlank(TextAt(nfs, "path"));
    if (!blank) return SetText(*nfs, "readOnly", "true");
    if (balances && MountNginx(volume)) return;
    const std::string& place = context_.options.models_nfs;
    const size_t colon = place.find(':');
    if (colon != std::string::npos) {
      SetText(*nfs, "server", place.substr(0, colon));
      SetText(*nfs, "path", place.substr(colon + 1));
      return SetText(*nfs, "readOnly", "true");
    }
    Erase(volume, "nfs");
    Set(volume, "persistentVolumeClaim",
        Snippet(
            Concat("{claimName: ", Inline(context_.options.models_claim), ", readOnly: true}")));
    context_.remarks.push_back(Concat(context_.file, ": the volume '", name,
                                      "' did not say where its files are: it is now the "
                                      "PersistentVolumeClaim '",
                                      context_.options.models_claim,
                                      "', which you make (or give --models-nfs SERVER:/PATH)"));
  }

  // The nginx.conf that is beside the manifests, in a ConfigMap.
  bool MountNginx(YamlNode& volume) {
    const auto& parts = context_.bundle.nginx;
    const auto part = std::find_if(parts.begin(), parts.end(),
                                   [](const TextPart& one) { return one.owner == nullptr; });
    if (part == parts.end()) return false;
    const std::string name = Name() + "-conf";
    Erase(volume, "nfs");
    Set(volume, "configMap", Snippet(Concat("{name: ", Inline(name), "}")));
    YamlNode map = Snippet("{apiVersion: v1, kind: ConfigMap, metadata: {}, data: {}}");
    SetText(Child(map, "metadata"), "name", name);
    SetText(Child(map, "metadata"), "namespace", NamespaceOf(object_));
    SetText(Child(map, "data"), "nginx.conf", FixNginx(part->text, context_.bundle));
    context_.further.push_back(options::WriteYaml(map));
    return true;
  }

  // What the adapter needs to know who its callers are; see docs/check.md.
  void GiveAccount() {
    if (!TextAt(&spec_, "serviceAccountName").empty()) return;
    SetText(spec_, "serviceAccountName", Name());
    context_.further.push_back(AccountText());
  }

  std::string AccountText() const {
    const std::string name = Inline(Name());
    const std::string name_space = Inline(NamespaceOf(object_));
    const auto named = [this](std::string_view suffix) { return Inline(Concat(Name(), suffix)); };
    std::string metrics;
    for (const AdapterRule& rule : context_.bundle.rules) {
      if (!rule.metric.empty())
        metrics += Concat(metrics.empty() ? "" : ", ", Inline(Concat("pods/", rule.metric)));
    }
    const std::string account = Concat("subjects:\n- {kind: ServiceAccount, name: ", name,
                                       ", namespace: ", name_space, "}\n");
    constexpr std::string_view kRbac = "apiVersion: rbac.authorization.k8s.io/v1\n";
    const auto role_of = [](std::string_view kind, std::string_view role) {
      return Concat("roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ", kind,
                    ", name: ", Inline(role), "}\n");
    };
    std::string text = Concat("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: ", name,
                              ", namespace: ", name_space, "}\n");
    text += Concat("---\n# Who calls: the certificates of the API server's proxy, and tokens.\n",
                   kRbac, "kind: RoleBinding\nmetadata: {name: ", named("-auth-reader"),
                   ", namespace: kube-system}\n",
                   role_of("Role", "extension-apiserver-authentication-reader"), account);
    text += Concat("---\n", kRbac,
                   "kind: ClusterRoleBinding\nmetadata: {name: ", named("-auth-delegator"), "}\n",
                   role_of("ClusterRole", "system:auth-delegator"), account);
    text += Concat("---\n# Which pods a selector means; its own certificate in the APIServices.\n",
                   kRbac, "kind: ClusterRole\nmetadata: {name: ", name, "}\nrules:\n",
                   "- {apiGroups: [\"\"], resources: [pods], verbs: [get, list, watch]}\n",
                   "- apiGroups: [apiregistration.k8s.io]\n  resources: [apiservices]\n",
                   "  resourceNames: [v1beta1.custom.metrics.k8s.io, "
                   "v1beta2.custom.metrics.k8s.io]\n  verbs: [get, patch]\n");
    text += Concat("---\n", kRbac, "kind: ClusterRoleBinding\nmetadata: {name: ", name, "}\n",
                   role_of("ClusterRole", Name()), account);
    if (metrics.empty()) return text;
    text += Concat("---\n# The autoscaler may read the metric, and nothing else of this API.\n",
                   kRbac, "kind: ClusterRole\nmetadata: {name: ", named("-reader"), "}\nrules:\n",
                   "- {apiGroups: [custom.metrics.k8s.io], resources: [", metrics,
                   "], verbs: [get]}\n");
    return text + Concat("---\n", kRbac,
                         "kind: ClusterRoleBinding\nmetadata: {name: ", named("-reader"), "}\n",
                         role_of("ClusterRole", Name() + "-reader"),
                         "subjects:\n- {kind: ServiceAccount, name: horizontal-pod-autoscaler, "
                         "namespace: kube-system}\n");
  }

  YamlNode& object_;
  YamlNode& spec_;
  FixContext& context_;
};

}  // namespace

void FixWorkload(YamlNode& object, FixContext& context) {
  const std::string kind(TextAt(&object, "kind"));
  if (kind == "ReplicationController") MakeDeployment(object);
  YamlNode* const pod = kind == "CronJob" ? AtIn(&object, "spec.jobTemplate.spec.template")
                        : kind == "Pod"   ? &object
                                          : AtIn(&object, "spec.template");
  YamlNode* const spec = FindIn(pod, "spec");
  if (spec == nullptr || FindIn(spec, "containers") == nullptr) return;  // No pods: as it was.
  if (kind != "Pod") FixOwnLabels(object, TextsAt(pod, "metadata.labels"));
  PodFixer(object, *spec, context).Fix();
  if (TextAt(&object, "kind") != "Deployment") return;

  YamlNode& deployment = Child(object, "spec");
  for (const Manifest* hpa : context.bundle.OfKind("HorizontalPodAutoscaler")) {
    if (TextAt(hpa->get(), "spec.scaleTargetRef.name") == TextAt(&object, "metadata.name") &&
        TextAt(hpa->get(), "spec.scaleTargetRef.kind") == "Deployment" &&
        hpa->Namespace() == NamespaceOf(object)) {
      Erase(deployment, "replicas");
    }
  }
  YamlNode* const made = FindIn(FindIn(&deployment, "template"), "spec");
  const std::string_view surge = TextAt(&deployment, "strategy.rollingUpdate.maxSurge");
  if (made != nullptr && NeedsRoom(*made) && surge != "0" && surge != "0%" &&
      TextAt(&deployment, "strategy.type") != "Recreate") {
    Set(deployment, "strategy",
        Snippet("{type: RollingUpdate, rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}"));
  }
}

}  // namespace tepal::diagnosis
