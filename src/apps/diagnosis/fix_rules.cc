// The rules of a metrics adapter and its APIService, put right.

#include <re2/re2.h>

#include <algorithm>

#include "apps/diagnosis/fix_manifests.h"
#include "apps/diagnosis/yaml_edit.h"
#include "core/base/text.h"
#include "core/options/yaml_write.h"

namespace tepal::diagnosis {
namespace {

constexpr std::string_view kMatchers = "<<.LabelMatchers>>";

std::string FixedQuery(std::string query) {
  // A mean over models of time / (1 + requests), as the recipe has it: the sums are meant.
  static const RE2 kMean(
      R"(\s*avg\s*\(\s*(?:delta|increase|rate)\(([a-zA-Z0-9_:]+)\{[^}]*\}\[([0-9a-z]+)\]\)\s*/\s*\(1\s*\+\s*(?:delta|increase|rate)\(([a-zA-Z0-9_:]+)\{[^}]*\}\[[0-9a-z]+\]\)\)\s*\)\s*by\s*\([^)]*\)\s*)");
  std::string time, window, count;
  if (RE2::FullMatch(query, kMean, &time, &window, &count)) {
    if (window == "30s") window = "1m";
    const auto sum = [&window](const std::string& series) {
      return Concat("sum(increase(", series, "{", kMatchers, "}[", window, "])) by (<<.GroupBy>>)");
    };
    return Concat(sum(time), " / clamp_min(", sum(count), ", 1)");
  }
  RE2::GlobalReplace(&query, R"(\{<>\})", "{<<.LabelMatchers>>}");
  RE2::GlobalReplace(&query, R"(\(<>\))", "(<<.GroupBy>>)");
  RE2::GlobalReplace(&query, R"(\bdelta\s*\()", "increase(");
  return query;
}

}  // namespace

void FixAdapterRules(YamlNode& object, FixContext& context) {
  YamlNode* const data = FindIn(&object, "data");
  if (data == nullptr) return;
  for (YamlMember& member : data->members) {
    std::string& text = member.node.scalar;
    if (IsNginxFile(member.name)) {
      text = FixNginx(text, context.bundle);
      continue;
    }
    if (text.find("seriesQuery") == std::string::npos) continue;
    const auto root = ReadDocument({text, 1, false}, member.name, nullptr);
    if (root == nullptr) continue;
    for (const char* const list : {"rules", "externalRules"}) {
      YamlNode* const rules = FindIn(root.get(), list);
      if (rules == nullptr) continue;
      for (YamlNode& rule : rules->elements) {
        YamlNode* const query = FindIn(&rule, "metricsQuery");
        if (query != nullptr) query->scalar = FixedQuery(query->scalar);
      }
    }
    const auto before = options::ParseYaml(text, "");
    const std::string written = options::WriteYaml(*root, options::FindYamlComments(text));
    if (!before.ok() || options::WriteYaml(*before) != options::WriteYaml(*root)) text = written;
  }
}

void FixApiService(YamlNode& object, FixContext& context) {
  YamlNode* const spec = FindIn(&object, "spec");
  if (spec == nullptr) return;
  if (FindIn(spec, "insecureSkipTLSVerify") != nullptr) {
    Erase(*spec, "insecureSkipTLSVerify");
    context.remarks.push_back(
        Concat(context.file,
               ": the certificate is now checked; tepal metrics-api writes its authority "
               "into caBundle by itself (--apiservice-name)"));
  }
  // The newer version beside it, which the autoscaler prefers.
  if (TextAt(spec, "group") != "custom.metrics.k8s.io" || TextAt(spec, "version") != "v1beta1") {
    return;
  }
  const auto all = context.bundle.OfKind("APIService");
  const bool there = std::any_of(all.begin(), all.end(), [](const Manifest* api) {
    return api->name == "v1beta2.custom.metrics.k8s.io";
  });
  if (there) return;
  YamlNode newer = object;
  SetText(Child(newer, "metadata"), "name", "v1beta2.custom.metrics.k8s.io");
  YamlNode& newer_spec = Child(newer, "spec");
  SetText(newer_spec, "version", "v1beta2");
  const auto priority = ParseNumber<int>(TextAt(spec, "versionPriority")).value_or(5);
  SetText(newer_spec, "versionPriority", Concat(priority + 1));
  context.further.push_back(options::WriteYaml(newer));
}

}  // namespace tepal::diagnosis
