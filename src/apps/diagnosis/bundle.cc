#include "apps/diagnosis/bundle.h"

#include <re2/re2.h>

#include <algorithm>
#include <array>

#include "apps/diagnosis/yaml_repair.h"
#include "core/base/text.h"

namespace tepal::diagnosis {
namespace {

bool EndsWithAny(std::string_view path, std::initializer_list<std::string_view> ends) {
  return std::any_of(ends.begin(), ends.end(),
                     [path](std::string_view end) { return path.ends_with(end); });
}

std::string_view BaseName(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

// Fields of the objects' outermost level and of metadata, which the API server takes in this case
// alone.
constexpr std::array<std::string_view, 16> kOuterFields = {
    "apiVersion", "kind",     "metadata", "spec",      "data",     "stringData",
    "binaryData", "type",     "rules",    "roleRef",   "subjects", "immutable",
    "subsets",    "webhooks", "items",    "parameters"};
constexpr std::array<std::string_view, 4> kMetadataFields = {"name", "namespace", "labels",
                                                             "annotations"};

void CorrectCase(YamlNode& node, std::span<const std::string_view> names, const std::string& file,
                 std::vector<Finding>* findings) {
  for (YamlMember& member : node.members) {
    for (const std::string_view name : names) {
      if (member.name == name || !EqualsIgnoreCase(member.name, name)) continue;
      if (findings != nullptr) {
        findings->push_back({file, member.node.line, Severity::kError, "wrong-case",
                             Concat("'", member.name,
                                    "' is no field: names are case-sensitive, "
                                    "so the API server takes the object without its ",
                                    name),
                             Concat("write '", name, "'")});
      }
      member.name = name;
    }
  }
}

// "FILE:LINE:COLUMN: what" as a finding.
Finding SyntaxFinding(const std::string& file, std::string_view message, int line) {
  std::string_view what = message;
  if (what.starts_with(file + ":")) {
    what.remove_prefix(file.size() + 1);
    const size_t first = what.find(':');
    const size_t second = what.find(": ");
    line = ParseNumber<int>(what.substr(0, first)).value_or(line);
    if (second != std::string_view::npos) what = what.substr(second + 2);
  }
  return {file,
          line,
          Severity::kError,
          "not-yaml",
          Concat("this is not YAML (", what, "), so nothing of the document is applied"),
          ""};
}

// The name under which a rule publishes its series, as prometheus-adapter makes it.
std::string PublishedName(const YamlNode& rule, std::string_view series) {
  const std::string_view as = TextAt(&rule, "name.as");
  const std::string_view matches = TextAt(&rule, "name.matches");
  if (matches.empty()) return std::string(as.empty() ? series : as);
  if (!as.empty() && as.find('$') == std::string_view::npos) return std::string(as);
  if (series.empty()) return {};
  const RE2 pattern(std::string(matches), RE2::Quiet);
  if (!pattern.ok()) return {};
  std::string rewrite(as.empty() ? "$1" : as);
  RE2::GlobalReplace(&rewrite, R"(\$\{?(\d)\}?)", R"(\\\1)");
  std::string out;
  if (!RE2::Extract(std::string(series), pattern, rewrite, &out)) return {};
  return out;
}

class BundleReader {
 public:
  explicit BundleReader(Bundle& bundle) : bundle_(bundle) {}

  void Read(const InputFile& input) {
    bundle_.file_names.emplace_back(BaseName(input.path));
    if (IsNginxFile(input.path)) {
      bundle_.nginx.push_back({input.path, 1, input.text, nullptr});
    } else if (IsProseFile(input.path)) {
      bundle_.prose.push_back({input.path, 1, input.text, nullptr});
    } else {
      ReadManifests(input);
    }
  }

 private:
  void ReadManifests(const InputFile& input) {
    const std::vector<options::YamlSlice> slices = options::SplitYaml(input.text);
    for (size_t i = 0; i < slices.size(); ++i) {
      if (slices[i].blank) continue;
      auto root = ReadDocument(slices[i], input.path, &bundle_.findings);
      if (root != nullptr) AddObject(input.path, i, std::move(root));
    }
  }

  void AddObject(const std::string& file, size_t slice, std::shared_ptr<YamlNode> root) {
    if (TextAt(root.get(), "kind").ends_with("List") && Find(root.get(), "items") != nullptr) {
      for (const YamlNode& item : ListAt(root.get(), "items")) {
        AddObject(file, slice, std::make_shared<YamlNode>(item));
      }
      return;
    }
    if (TextAt(root.get(), "apiVersion").empty() || TextAt(root.get(), "kind").empty()) {
      return ReadRules(root.get(), file);
    }
    auto manifest = std::make_unique<Manifest>();
    manifest->file = file;
    manifest->slice = slice;
    manifest->api_version = TextAt(root.get(), "apiVersion");
    manifest->kind = TextAt(root.get(), "kind");
    manifest->name = TextAt(root.get(), "metadata.name");
    manifest->name_space = TextAt(root.get(), "metadata.namespace");
    const YamlNode* const accepted = Find(At(root.get(), "metadata.annotations"), "tepal/accept");
    if (accepted != nullptr) {
      for (const std::string_view code : Split(accepted->scalar, ',')) {
        manifest->accepted.emplace_back(Trim(code));
      }
    }
    manifest->root = std::move(root);
    if (manifest->kind == "ConfigMap") ReadConfigMap(*manifest);
    bundle_.manifests.push_back(std::move(manifest));
  }

  void ReadConfigMap(const Manifest& manifest) {
    for (const YamlMember& member : MembersAt(manifest.get(), "data")) {
      const std::string& text = member.node.scalar;
      const int first_line = member.node.line + 1;  // Of a block text, which such long ones are.
      if (IsNginxFile(member.name)) {
        bundle_.nginx.push_back({manifest.file, first_line, text, &manifest});
      } else if (text.find("seriesQuery") != std::string::npos) {
        const options::YamlSlice slice{text, first_line, false};
        const auto root = ReadDocument(slice, manifest.file, &bundle_.findings);
        if (root != nullptr) ReadRules(root.get(), manifest.file);
      }
    }
  }

  void ReadRules(const YamlNode* root, const std::string& file) {
    for (const bool external : {false, true}) {
      for (const YamlNode& rule : ListAt(root, external ? "externalRules" : "rules")) {
        if (Find(&rule, "seriesQuery") == nullptr) continue;
        AdapterRule read;
        read.file = file;
        read.line = rule.line;
        read.query_line = LineOf(&rule, "metricsQuery");
        read.series_query = TextAt(&rule, "seriesQuery");
        read.metrics_query = TextAt(&rule, "metricsQuery");
        read.external = external;
        const std::string series = read.series_query.substr(0, read.series_query.find('{'));
        read.metric = PublishedName(rule, series);
        RE2::PartialMatch(read.series_query, R"re([{,]\s*namespace\s*=\s*"([^"]*)")re",
                          &read.name_space);
        bundle_.rules.push_back(std::move(read));
      }
    }
  }

  Bundle& bundle_;
};

}  // namespace

bool IsManifestFile(std::string_view path) { return EndsWithAny(path, {".yaml", ".yml", ".json"}); }
bool IsNginxFile(std::string_view path) { return EndsWithAny(path, {".conf"}); }
bool IsProseFile(std::string_view path) { return EndsWithAny(path, {".md", ".txt", ".sh"}); }

std::string_view Manifest::Group() const {
  const size_t slash = api_version.find('/');
  return slash == std::string::npos ? std::string_view()
                                    : std::string_view(api_version).substr(0, slash);
}

std::vector<const Manifest*> Bundle::OfKind(std::string_view kind) const {
  std::vector<const Manifest*> found;
  for (const auto& manifest : manifests) {
    if (manifest->kind == kind) found.push_back(manifest.get());
  }
  return found;
}

const Manifest* Bundle::FindObject(std::string_view kind, std::string_view name_space,
                                   std::string_view name) const {
  for (const auto& manifest : manifests) {
    if (manifest->kind == kind && manifest->name == name && manifest->Namespace() == name_space) {
      return manifest.get();
    }
  }
  return nullptr;
}

std::shared_ptr<YamlNode> ReadDocument(const options::YamlSlice& slice, const std::string& file,
                                       std::vector<Finding>* findings) {
  Result<YamlNode> root = options::ParseYaml(slice.text, file, slice.first_line);
  const auto repair = RepairYaml(slice.text, slice.first_line);
  if (!root.ok() || repair.has_value()) {
    Finding finding =
        SyntaxFinding(file, root.ok() ? "a line leaves its block text" : root.status().message(),
                      slice.first_line);
    if (repair.has_value()) {
      for (const YamlRepair::Change& change : repair->changes) {
        finding.fix +=
            Concat(finding.fix.empty() ? "" : "; ", "line ", change.line, ": ", change.what);
      }
      finding.line = repair->changes.front().line;
      root = options::ParseYaml(repair->text, file, slice.first_line);
    } else if (slice.text.find("{{") != std::string_view::npos) {
      finding.fix = "it looks like a template: check what it is rendered to (helm template)";
    } else {
      finding.fix = "correct the line; the checker cannot tell what was meant";
    }
    if (findings != nullptr) findings->push_back(std::move(finding));
    if (!root.ok()) return nullptr;
  }
  auto node = std::make_shared<YamlNode>(*std::move(root));
  if (node->kind != YamlNode::Kind::kMapping) return nullptr;
  if (!node->members.empty()) node->line = node->members.front().node.line;
  CorrectCase(*node, kOuterFields, file, findings);
  for (YamlMember& member : node->members) {
    if (member.name == "metadata") CorrectCase(member.node, kMetadataFields, file, findings);
  }
  return node;
}

Bundle ReadBundle(std::span<const InputFile> files) {
  Bundle bundle;
  BundleReader reader(bundle);
  for (const InputFile& file : files) reader.Read(file);
  return bundle;
}

}  // namespace tepal::diagnosis
