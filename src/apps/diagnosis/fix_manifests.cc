#include "apps/diagnosis/fix_manifests.h"

#include <algorithm>
#include <array>
#include <limits>

#include "apps/diagnosis/api_versions.h"
#include "apps/diagnosis/check_manifests.h"
#include "apps/diagnosis/nginx_text.h"
#include "apps/diagnosis/yaml_edit.h"
#include "apps/diagnosis/yaml_repair.h"
#include "core/base/text.h"
#include "core/options/yaml_write.h"

namespace tepal::diagnosis {
namespace {

// What we know the pods of; any other kind is passed through.
constexpr std::array<std::string_view, 8> kWorkloads = {
    "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController",
    "Job",        "CronJob",     "Pod"};

bool IsPermissive(const YamlNode& object) {
  if (TextAt(&object, "roleRef.name") != "cluster-admin") return false;
  const auto& subjects = ListAt(&object, "subjects");
  return std::any_of(subjects.begin(), subjects.end(), [](const YamlNode& subject) {
    return TextAt(&subject, "name").starts_with("system:") || TextAt(&subject, "name") == "kubelet";
  });
}

void FixObject(YamlNode& object, FixContext& context) {
  const std::string kind(TextAt(&object, "kind"));
  if (kind.ends_with("List")) {
    if (YamlNode* const items = FindIn(&object, "items")) {
      for (YamlNode& item : items->elements) FixObject(item, context);
      return;
    }
  }
  const auto removed = FindRemovedVersion(TextAt(&object, "apiVersion"), kind);
  if (removed.has_value() && !removed->replacement.empty()) {
    SetText(object, "apiVersion", removed->replacement);
  }
  if (kind == "Service") {
    FixService(object, context);
  } else if (kind == "HorizontalPodAutoscaler") {
    FixAutoscaler(object, context);
  } else if (kind == "ConfigMap") {
    FixAdapterRules(object, context);
  } else if (kind == "APIService") {
    FixApiService(object, context);
  } else if (std::find(kWorkloads.begin(), kWorkloads.end(), kind) != kWorkloads.end()) {
    FixWorkload(object, context);
  }
}

class FileFixer {
 public:
  FileFixer(const Bundle& bundle, const FixOptions& options, std::vector<Finding> findings,
            FixResult& result)
      : bundle_(bundle), options_(options), findings_(std::move(findings)), result_(result) {}

  void Fix(const InputFile& input) {
    FixedFile fixed{input.path, input.text, false, false};
    if (!HasFault(input.path, 0, std::numeric_limits<int>::max())) {
      // As it is.
    } else if (IsNginxFile(input.path)) {
      fixed.text = FixNginx(input.text, bundle_);
    } else if (input.path.ends_with(".json")) {
      result_.remarks.push_back(Concat(input.path, ": JSON is left as it is; only YAML is fixed"));
    } else {
      fixed.text = FixYaml(input);
    }
    fixed.changed = fixed.text != input.text;
    result_.files.push_back(std::move(fixed));
  }

  std::vector<FixedFile> TakeAdded() { return std::move(added_); }

 private:
  std::string FixYaml(const InputFile& input) {
    std::string out;
    bool first = true;
    const auto begin = [&] {
      if (!first && !out.empty() && !out.ends_with('\n')) out += '\n';
      if (!first) out += "---";
      first = false;
    };
    const std::vector<options::YamlSlice> slices = options::SplitYaml(input.text);
    for (size_t i = 0; i < slices.size(); ++i) {
      const options::YamlSlice& slice = slices[i];
      const int end =
          i + 1 < slices.size() ? slices[i + 1].first_line : std::numeric_limits<int>::max();
      const bool sound = slice.blank || !HasFault(input.path, slice.first_line, end);
      const auto root = sound ? nullptr : ReadDocument(slice, input.path, nullptr);
      if (root == nullptr) {
        if (!sound) {
          result_.remarks.push_back(
              Concat(input.path, ":", slice.first_line, ": left as it is: it cannot be read"));
        }
        begin();
        out += slice.text;
        continue;
      }
      if (IsPermissive(*root)) {
        result_.remarks.push_back(Concat(input.path, ": the binding '",
                                         TextAt(root.get(), "metadata.name"), "' is left out"));
        continue;
      }
      FixContext context{bundle_, options_, input.path, {}, {}, {}};
      FixObject(*root, context);
      begin();
      out += IsAsItWas(slice, *root) ? std::string(slice.text) : Rewritten(slice, *root, out);
      for (const std::string& further : context.further) {
        begin();
        out += "\n" + further;
      }
      for (FixedFile& file : context.added) added_.push_back(std::move(file));
      for (std::string& remark : context.remarks) result_.remarks.push_back(std::move(remark));
    }
    return out;
  }

  // In the lines from `begin` up to, not with, `end`.
  bool HasFault(const std::string& file, int begin, int end) const {
    return std::any_of(findings_.begin(), findings_.end(), [&](const Finding& finding) {
      return finding.place == file && finding.severity != Severity::kNote &&
             begin <= finding.line && finding.line < end;
    });
  }

  static bool IsAsItWas(const options::YamlSlice& slice, const YamlNode& root) {
    const auto written = options::ParseYaml(slice.text, "");
    return written.ok() && !RepairYaml(slice.text).has_value() &&
           options::WriteYaml(*written) == options::WriteYaml(root);
  }

  static std::string Rewritten(const options::YamlSlice& slice, const YamlNode& root,
                               const std::string& before) {
    const auto comments = options::FindYamlComments(slice.text, slice.first_line);
    return Concat(before.empty() ? "" : "\n", options::WriteYaml(root, comments));
  }

  const Bundle& bundle_;
  const FixOptions& options_;
  const std::vector<Finding> findings_;
  FixResult& result_;
  std::vector<FixedFile> added_;
};

}  // namespace

FixResult FixManifests(std::span<const InputFile> files, const FixOptions& options) {
  const Bundle bundle = ReadBundle(files);
  FixResult result;
  FileFixer fixer(bundle, options, CheckManifests(files), result);
  for (const InputFile& file : files) {
    if (!IsProseFile(file.path)) fixer.Fix(file);
  }
  for (FixedFile& added : fixer.TakeAdded()) result.files.push_back(std::move(added));
  return result;
}

std::string FixNginx(std::string_view text, const Bundle& bundle) {
  std::string host = "flower.default.svc.cluster.local";
  for (const Manifest* service : bundle.OfKind("Service")) {
    if (TextAt(service->get(), "spec.clusterIP") != "None") continue;
    host = Concat(service->name, ".", service->Namespace(), ".svc.cluster.local");
    break;
  }
  NginxBlanks blanks;
  blanks.http_server = host + ":8000";
  blanks.grpc_server = host + ":8001";
  blanks.resolver.clear();
  return CorrectNginxFaults(FillNginxBlanks(text, blanks));
}

}  // namespace tepal::diagnosis
