// The text beside the manifests: commands that open the cluster, files by names they do not have.

#include <re2/re2.h>

#include <algorithm>

#include "apps/diagnosis/check_manifests.h"
#include "core/base/text.h"
#include "core/options/values.h"

namespace tepal::diagnosis {
namespace {

std::vector<std::string_view> KnownFiles(const Bundle& bundle) {
  std::vector<std::string_view> names(bundle.file_names.begin(), bundle.file_names.end());
  for (const Manifest* map : bundle.OfKind("ConfigMap")) {
    for (const YamlMember& key : MembersAt(map->get(), "data")) names.push_back(key.name);
  }
  return names;
}

void CheckFileNames(const std::vector<std::string_view>& known, std::string_view text, int line,
                    const std::string& file, Report& report) {
  static const RE2 kName(R"(([A-Za-z0-9][A-Za-z0-9._-]*\.(?:ya?ml|conf)))");
  re2::StringPiece input(text.data(), text.size());
  std::string name;
  while (RE2::FindAndConsume(&input, kName, &name)) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    const auto near = options::NearestName(name, known);
    if (!near.has_value()) continue;
    report.Add(file, line, Severity::kWarning, "file-name",
               Concat("the text says ", name, ", but the file is called ", *near),
               Concat("write ", *near));
  }
}

void CheckCommands(const std::string& text, int line, const std::string& file, Report& report) {
  static const RE2 kBinding(
      R"(kubectl create clusterrolebinding.*--clusterrole[= ]cluster-admin.*(system:serviceaccounts|system:authenticated|system:unauthenticated|kubelet))");
  static const RE2 kLabel(R"(kubectl label nodes? [^\s=]+=\S+\s*$)");
  if (RE2::PartialMatch(text, kBinding)) {
    report.Add(file, line, Severity::kError, "permissive-binding",
               "the command lets every service account do everything in the cluster: this switches "
               "its security off",
               "do not run it; give the adapter a service account with the few rights it needs "
               "(tepal check manifests --fix writes them)");
  }
  if (RE2::PartialMatch(text, kLabel)) {
    report.Add(file, line, Severity::kWarning, "blank", "the command names no node to label",
               "write kubectl label node NODE KEY=VALUE");
  }
}

}  // namespace

void CheckProse(const Bundle& bundle, Report& report) {
  const std::vector<std::string_view> known = KnownFiles(bundle);
  for (const TextPart& part : bundle.prose) {
    int line = part.first_line;
    for (const std::string_view text : Split(part.text, '\n')) {
      CheckFileNames(known, text, line, part.file, report);
      CheckCommands(std::string(text), line, part.file, report);
      ++line;
    }
  }
}

}  // namespace tepal::diagnosis
