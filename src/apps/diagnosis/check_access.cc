// Rights that are wider than anything needs.

#include <algorithm>

#include "apps/diagnosis/check_manifests.h"
#include "core/base/text.h"

namespace tepal::diagnosis {
namespace {

// Groups and users that are, or may become, everybody.
bool IsWide(std::string_view name) {
  return name.starts_with("system:serviceaccounts") || name == "system:authenticated" ||
         name == "system:unauthenticated" || name == "system:anonymous" || name == "kubelet";
}

bool HasStar(const YamlNode* node, std::string_view path) {
  const auto& list = ListAt(node, path);
  return std::any_of(list.begin(), list.end(),
                     [](const YamlNode& one) { return one.scalar == "*"; });
}

void CheckBinding(const Manifest& binding, Report& report) {
  if (TextAt(binding.get(), "roleRef.name") != "cluster-admin") return;
  for (const YamlNode& subject : ListAt(binding.get(), "subjects")) {
    const std::string_view name = TextAt(&subject, "name");
    if (IsWide(name)) {
      report.Add(binding, subject.line, Severity::kError, "permissive-binding",
                 Concat("'", name,
                        "' may do everything in the cluster: this switches its security "
                        "off"),
                 "remove the binding and give each part a service account with the few rights it "
                 "needs");
    } else if (TextAt(&subject, "kind") == "ServiceAccount") {
      report.Add(binding, subject.line, Severity::kWarning, "cluster-admin",
                 Concat("the service account '", name, "' may do everything in the cluster"),
                 "bind it to a role with the verbs and resources it uses");
    }
  }
}

void CheckRole(const Manifest& role, Report& report) {
  for (const YamlNode& rule : ListAt(role.get(), "rules")) {
    if (!HasStar(&rule, "verbs") || !HasStar(&rule, "resources")) continue;
    report.Add(role, rule.line, Severity::kWarning, "wildcard-role",
               Concat(role.Words(), " allows every verb on every resource of a group"),
               "name the verbs and resources that are used");
  }
}

}  // namespace

void CheckAccess(const Bundle& bundle, Report& report) {
  for (const auto& manifest : bundle.manifests) {
    if (manifest->kind == "ClusterRoleBinding" || manifest->kind == "RoleBinding") {
      CheckBinding(*manifest, report);
    } else if (manifest->kind == "ClusterRole" || manifest->kind == "Role") {
      CheckRole(*manifest, report);
    }
  }
}

}  // namespace tepal::diagnosis
