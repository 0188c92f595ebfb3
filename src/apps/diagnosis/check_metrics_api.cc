// The chain behind the custom metrics API: rules, APIService, Service, Deployment, rights.

#include <re2/re2.h>

#include <algorithm>
#include <set>

#include "apps/diagnosis/check_manifests.h"
#include "apps/diagnosis/selectors.h"
#include "core/base/text.h"
#include "core/options/values.h"

namespace tepal::diagnosis {
namespace {

// "10s", "1m": as Prometheus writes times.
std::optional<double> PromSeconds(std::string_view text) {
  static constexpr std::pair<std::string_view, double> kUnits[] = {
      {"ms", 0.001}, {"s", 1}, {"m", 60}, {"h", 3600}};
  for (const auto& [unit, seconds] : kUnits) {
    if (!text.ends_with(unit)) continue;
    const auto number = ParseNumber<double>(text.substr(0, text.size() - unit.size()));
    if (number.has_value()) return *number * seconds;
  }
  return std::nullopt;
}

double LongestInterval(const Bundle& bundle) {
  double longest = 0;
  for (const Manifest* monitor : bundle.OfKind("PodMonitor")) {
    for (const YamlNode& endpoint : ListAt(monitor->get(), "spec.podMetricsEndpoints")) {
      longest = std::max(longest, PromSeconds(TextAt(&endpoint, "interval")).value_or(0));
    }
  }
  return longest;
}

void CheckRule(const Bundle& bundle, const AdapterRule& rule, Report& report) {
  const std::string& query = rule.metrics_query;
  const auto add = [&](Severity severity, std::string code, std::string fault, std::string fix) {
    report.Add(rule.file, rule.query_line, severity, std::move(code), std::move(fault),
               std::move(fix));
  };
  if (query.find("<>") != std::string::npos) {
    add(Severity::kError, "lost-template",
        "the query has lost what stood between << and >>: it selects and groups by nothing",
        "write {<<.LabelMatchers>>} behind each series and by (<<.GroupBy>>)");
  } else if (!query.empty() && query.find(".LabelMatchers") == std::string::npos) {
    add(Severity::kError, "lost-template",
        "the query does not say .LabelMatchers: every object gets the same value",
        "write {<<.LabelMatchers>>} behind each series");
  }
  if (RE2::PartialMatch(query, R"(\bdelta\s*\()")) {
    add(Severity::kWarning, "delta-of-counter",
        "delta() is for gauges: when a server restarts its counters begin at 0 and the metric is "
        "negative, which scales down under load",
        "write increase() (or rate())");
  }
  if (RE2::PartialMatch(query, R"(avg\s*\(.*/)")) {
    add(Severity::kNote, "mean-of-ratios",
        "a mean of ratios weighs an idle model like a busy one, and 1+ makes few requests look "
        "faster than they are",
        "divide sums: sum(increase(queue)) by (<<.GroupBy>>) / "
        "clamp_min(sum(increase(requests)) by (<<.GroupBy>>), 1)");
  }
  const double interval = LongestInterval(bundle);
  std::string window;
  if (interval > 0 && RE2::PartialMatch(query, R"(\[([0-9a-z]+)\])", &window)) {
    const double seconds = PromSeconds(window).value_or(interval * 4);
    if (seconds < interval * 4) {
      add(seconds < interval * 2 ? Severity::kWarning : Severity::kNote, "short-window",
          Concat("a window of ", window, " holds ", static_cast<int>(seconds / interval),
                 " samples of a scrape every ", interval,
                 " s: what is extrapolated from so few "
                 "jumps about"),
          "make the window at least four times the interval of the PodMonitor");
    }
  }
}

class ApiServiceCheck {
 public:
  ApiServiceCheck(const Bundle& bundle, const Manifest& api, std::set<const Manifest*>& adapters,
                  Report& report)
      : bundle_(bundle), api_(api), adapters_(adapters), report_(report) {}

  void Check() {
    const std::string expected =
        Concat(TextAt(api_.get(), "spec.version"), ".", TextAt(api_.get(), "spec.group"));
    if (api_.name != expected) {
      Add(LineOf(api_.get(), "metadata.name"), Severity::kError, "wrong-name",
          Concat("the name must be version.group, '", expected, "'"), Concat("write ", expected));
    }
    if (IsTrue(api_.get(), "spec.insecureSkipTLSVerify")) {
      Add(LineOf(api_.get(), "spec.insecureSkipTLSVerify"), Severity::kWarning, "insecure-tls",
          "insecureSkipTLSVerify: anybody who answers at the Service's address is believed",
          "leave it out and give caBundle, the CA of the adapter's certificate (tepal metrics-api "
          "can write its own there)");
    }
    if (Find(At(api_.get(), "spec"), "service") == nullptr) return;
    CheckService();
  }

 private:
  void Add(int line, Severity severity, std::string code, std::string fault, std::string fix) {
    report_.Add(api_, line, severity, std::move(code), std::move(fault), std::move(fix));
  }

  void CheckService() {
    const YamlNode* const ref = At(api_.get(), "spec.service");
    const std::string_view name_space = TextAt(ref, "namespace");
    const std::string_view name = TextAt(ref, "name");
    const Manifest* const service = bundle_.FindObject("Service", name_space, name);
    if (service == nullptr) {
      std::vector<std::string_view> names;
      for (const Manifest* other : bundle_.OfKind("Service")) {
        if (other->Namespace() == name_space) names.push_back(other->name);
      }
      if (names.empty()) return;  // It is in other files.
      const auto near = options::NearestName(name, names);
      Add(ref->line, Severity::kError, "no-service",
          Concat("there is no Service '", name, "' in the namespace ", name_space,
                 ": the API would be unavailable, which also blocks the deletion of namespaces"),
          near.has_value() ? Concat("write ", *near) : "name the adapter's Service");
      return;
    }
    const std::string_view wanted = TextAt(ref, "port").empty() ? "443" : TextAt(ref, "port");
    const auto& ports = ListAt(service->get(), "spec.ports");
    if (std::none_of(ports.begin(), ports.end(),
                     [&](const YamlNode& port) { return TextAt(&port, "port") == wanted; })) {
      Add(ref->line, Severity::kError, "no-service-port",
          Concat(service->Words(), " has no port ", wanted), "add it, or name its port");
    }
    const Labels selector = TextsAt(service->get(), "spec.selector");
    for (const Workload& workload : WorkloadsOf(bundle_)) {
      if (workload.manifest->Namespace() == name_space && !selector.empty() &&
          HasLabels(workload.labels, selector)) {
        CheckRights(workload);
      }
    }
  }

  bool Bound(std::string_view kind, std::string_view role, std::string_view name_space,
             std::string_view account) const {
    for (const Manifest* binding : bundle_.OfKind(kind)) {
      if (TextAt(binding->get(), "roleRef.name") != role) continue;
      for (const YamlNode& subject : ListAt(binding->get(), "subjects")) {
        if (TextAt(&subject, "name") == account && TextAt(&subject, "namespace") == name_space) {
          return true;
        }
      }
    }
    return false;
  }

  void CheckRights(const Workload& workload) {
    const Manifest& manifest = *workload.manifest;
    if (!adapters_.insert(&manifest).second) return;
    const std::string_view account = TextAt(workload.spec, "serviceAccountName");
    const std::string account_name(account.empty() ? "default" : account);
    std::string missing;
    const auto need = [&](std::string_view kind, std::string_view role) {
      if (Bound(kind, role, manifest.Namespace(), account_name)) return;
      missing += Concat(missing.empty() ? "" : " and ", kind, " -> ", role);
    };
    need("ClusterRoleBinding", "system:auth-delegator");
    need("RoleBinding", "extension-apiserver-authentication-reader");
    if (missing.empty()) return;
    report_.Add(manifest, LineOf(workload.spec, "serviceAccountName"), Severity::kError,
                "adapter-rights",
                Concat(manifest.Words(), " answers for ", api_.name, " as the service account '",
                       account_name,
                       "', which may not ask who its callers are and what they may: "
                       "it works only where everybody may do everything"),
                Concat("give it a service account of its own, with ", missing,
                       " (in kube-system), and a role to get, list and watch pods"));
  }

  const Bundle& bundle_;
  const Manifest& api_;
  std::set<const Manifest*>& adapters_;
  Report& report_;
};

}  // namespace

void CheckMetricsApi(const Bundle& bundle, Report& report) {
  for (const AdapterRule& rule : bundle.rules) CheckRule(bundle, rule, report);
  std::set<const Manifest*> adapters;  // Those looked at: one may answer for several versions.
  for (const Manifest* api : bundle.OfKind("APIService")) {
    ApiServiceCheck(bundle, *api, adapters, report).Check();
  }
}

}  // namespace tepal::diagnosis
