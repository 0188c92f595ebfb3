#include "apps/diagnosis/hpa_reader.h"

#include <memory>

#include "apps/diagnosis/api_versions.h"
#include "apps/diagnosis/json_tree.h"
#include "core/base/text.h"
#include "core/options/values.h"

namespace tepal::diagnosis {
namespace {

constexpr std::string_view kCustomMetrics = "custom.metrics.k8s.io";
constexpr size_t kMetricsMax = 100;  // Of one HPA that are asked for.

// "Deployment" is "deployments" in a path.
std::string PluralOf(std::string_view kind) {
  std::string plural;
  for (const char c : kind) plural += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  if (plural.ends_with("y")) return plural.substr(0, plural.size() - 1) + "ies";
  return plural + (plural.ends_with("s") ? "es" : "s");
}

std::string GroupOf(std::string_view api_version) {
  const size_t slash = api_version.find('/');
  return slash == std::string_view::npos ? std::string()
                                         : std::string(api_version.substr(0, slash));
}

// A LabelSelector object as the API's query parameter has it.
std::string SelectorQuery(const json::Value* selector) {
  std::string text;
  if (selector == nullptr) return text;
  const json::Value* const equal = selector->Find("matchLabels");
  if (equal != nullptr && equal->AsObject() != nullptr) {
    for (const auto& [key, value] : *equal->AsObject()) {
      if (value.AsString() == nullptr) continue;
      text += Concat(text.empty() ? "" : ",", key, "=", *value.AsString());
    }
  }
  for (const json::Value& expression : JsonList(*selector, "matchExpressions")) {
    const std::string_view how = JsonText(expression, "operator");
    const std::string_view key = JsonText(expression, "key");
    text += text.empty() ? "" : ",";
    if (how == "Exists" || how == "DoesNotExist") {
      text += Concat(how == "Exists" ? "" : "!", key);
      continue;
    }
    std::string values;
    for (const json::Value& value : JsonList(expression, "values")) {
      if (value.AsString() == nullptr) continue;
      values += Concat(values.empty() ? "" : ",", *value.AsString());
    }
    text += Concat(key, how == "In" ? " in (" : " notin (", values, ")");
  }
  return text;
}

// In the server's words.
std::string Why(const kube::Answer& answer) {
  const std::string_view said = JsonText(answer.body, "message");
  return said.empty() ? answer.status.message() : std::string(said);
}

class Reading : public std::enable_shared_from_this<Reading> {
 public:
  Reading(kube::Client& client, std::string name_space, std::string name,
          Function<void(Result<HpaInputs>)> done)
      : client_(client),
        name_space_(std::move(name_space)),
        name_(std::move(name)),
        done_(std::move(done)) {}

  void Start() {
    Ask(kube::PathOf(kube::ObjectRef{
            {"autoscaling", "v2", "horizontalpodautoscalers", true}, name_space_, name_, ""}),
        "", [](Reading& self, kube::Answer answer) { self.OnHpa(std::move(answer)); });
  }

 private:
  using Then = Function<void(Reading&, kube::Answer)>;

  void Ask(std::string path, std::string query, Then then) {
    kube::Request request;
    request.path = std::move(path);
    request.query = std::move(query);
    ++open_;
    client_.Send(std::move(request),
                 [self = shared_from_this(), then = std::move(then)](kube::Answer answer) mutable {
                   then(*self, std::move(answer));
                   if (--self->open_ == 0) self->Next();
                 });
  }

  void OnHpa(kube::Answer answer) {
    if (!answer.ok()) {
      failed_ = std::move(answer.status)
                    .WithContext(Concat("HorizontalPodAutoscaler ", name_space_, "/", name_));
      return;
    }
    inputs_.hpa = std::move(answer.body);
    Ask(ScalePath(inputs_.hpa), "", [](Reading& self, kube::Answer scale) {
      if (scale.ok()) {
        self.pods_ = JsonText(scale.body, "status.selector");
        self.inputs_.scale = std::move(scale.body);
      } else {
        self.inputs_.scale_problem = Why(scale);
      }
    });
    Ask(Concat("/api/v1/namespaces/", kube::EscapeUrl(name_space_), "/events"),
        Concat("limit=100&fieldSelector=",
               kube::EscapeUrl(Concat("involvedObject.kind=HorizontalPodAutoscaler,"
                                      "involvedObject.name=",
                                      name_))),
        [](Reading& self, kube::Answer events) {
          for (const json::Value& event : JsonList(events.body, "items")) {
            self.inputs_.events.push_back(event);
          }
        });
    Ask(Concat("/apis/", kCustomMetrics), "", [](Reading& self, kube::Answer group) {
      const std::string_view version = JsonText(group.body, "preferredVersion.version");
      if (group.ok() && !version.empty()) self.custom_version_ = version;
    });
  }

  // Everything that was asked for has been answered.
  void Next() {
    if (failed_.ok() && !asked_all_) {
      asked_all_ = true;
      AskPodsAndMetrics();
      if (open_ > 0) return;
    }
    auto done = std::move(done_);
    if (failed_.ok()) {
      done(std::move(inputs_));
    } else {
      done(failed_);
    }
  }

  void AskPodsAndMetrics() {
    if (!inputs_.scale.has_value()) return;
    Ask(Concat("/api/v1/namespaces/", kube::EscapeUrl(name_space_), "/pods"),
        Concat("labelSelector=", kube::EscapeUrl(pods_)), [](Reading& self, kube::Answer pods) {
          if (!pods.ok()) self.inputs_.pods_problem = Why(pods);
          for (const json::Value& pod : JsonList(pods.body, "items")) {
            self.inputs_.pods.push_back(pod);
          }
        });
    const auto& specs = JsonList(inputs_.hpa, "spec.metrics");
    inputs_.answers.resize(std::min(specs.size(), kMetricsMax));
    for (size_t i = 0; i < inputs_.answers.size(); ++i) {
      const MetricRequest request = MetricRequestOf(specs[i], name_space_, pods_, custom_version_);
      if (request.path.empty()) continue;
      inputs_.answers[i].asked = true;
      inputs_.answers[i].path = request.path;
      Ask(request.path, request.query, [i](Reading& self, kube::Answer answer) {
        MetricAnswer& taken = self.inputs_.answers[i];
        taken.http_status = answer.http_status;
        if (!answer.ok()) {
          taken.message = Why(answer);
          self.FindSimilar(i);
        }
        taken.body = std::move(answer.body);
      });
    }
  }

  // Which metric there is of nearly that name.
  void FindSimilar(size_t i) {
    const json::Value spec = JsonList(inputs_.hpa, "spec.metrics")[i];
    const bool external = JsonText(spec, "type") == "External";
    const std::string path = external ? std::string("/apis/external.metrics.k8s.io/v1beta1")
                                      : Concat("/apis/", kCustomMetrics, "/", custom_version_);
    const std::string field = external                           ? "external"
                              : JsonText(spec, "type") == "Pods" ? "pods"
                                                                 : "object";
    const std::string name(JsonText(spec, field + ".metric.name"));
    Ask(path, "", [i, name](Reading& self, kube::Answer answer) {
      std::vector<std::string_view> names;
      for (const json::Value& resource : JsonList(answer.body, "resources")) {
        const std::string_view full = JsonText(resource, "name");
        names.push_back(full.substr(full.rfind('/') + 1));
      }
      const auto near = options::NearestName(name, names);
      if (near.has_value()) self.inputs_.answers[i].similar = *near;
    });
  }

  kube::Client& client_;
  const std::string name_space_, name_;
  Function<void(Result<HpaInputs>)> done_;
  HpaInputs inputs_;
  Status failed_;
  std::string pods_;  // The selector of the target's pods.
  std::string custom_version_ = "v1beta1";
  int open_ = 0;
  bool asked_all_ = false;
};

}  // namespace

void ReadHpa(kube::Client& client, std::string name_space, std::string name,
             Function<void(Result<HpaInputs>)> done) {
  std::make_shared<Reading>(client, std::move(name_space), std::move(name), std::move(done))
      ->Start();
}

std::string ScalePath(const json::Value& hpa) {
  const std::string_view kind = JsonText(hpa, "spec.scaleTargetRef.kind");
  std::string_view version = JsonText(hpa, "spec.scaleTargetRef.apiVersion");
  // The controller looks the kind up in its group, whatever version is named.
  const auto removed = FindRemovedVersion(version, kind);
  if (removed.has_value() && GroupOf(removed->replacement) == GroupOf(version)) {
    version = removed->replacement;
  }
  return Concat(version.find('/') == std::string_view::npos ? "/api/" : "/apis/", version,
                "/namespaces/", kube::EscapeUrl(JsonText(hpa, "metadata.namespace")), "/",
                kube::EscapeUrl(PluralOf(kind)), "/",
                kube::EscapeUrl(JsonText(hpa, "spec.scaleTargetRef.name")), "/scale");
}

MetricRequest MetricRequestOf(const json::Value& spec, const std::string& name_space,
                              const std::string& pods, const std::string& custom_version) {
  const std::string_view type = JsonText(spec, "type");
  const std::string space = kube::EscapeUrl(name_space);
  const std::string custom = Concat("/apis/", kCustomMetrics, "/", custom_version);
  const auto selector = [](std::string_view parameter, const std::string& text) {
    return text.empty() ? std::string() : Concat(parameter, "=", kube::EscapeUrl(text));
  };
  if (type == "External") {
    return {Concat("/apis/external.metrics.k8s.io/v1beta1/namespaces/", space, "/",
                   kube::EscapeUrl(JsonText(spec, "external.metric.name"))),
            selector("labelSelector", SelectorQuery(JsonAt(spec, "external.metric.selector")))};
  }
  if (type == "Pods") {
    const std::string series =
        selector("metricLabelSelector", SelectorQuery(JsonAt(spec, "pods.metric.selector")));
    std::string query = selector("labelSelector", pods);
    if (!series.empty()) query += Concat(query.empty() ? "" : "&", series);
    return {Concat(custom, "/namespaces/", space, "/pods/*/",
                   kube::EscapeUrl(JsonText(spec, "pods.metric.name"))),
            query};
  }
  if (type != "Object") return {};
  const std::string metric = kube::EscapeUrl(JsonText(spec, "object.metric.name"));
  const std::string query =
      selector("metricLabelSelector", SelectorQuery(JsonAt(spec, "object.metric.selector")));
  const std::string_view kind = JsonText(spec, "object.describedObject.kind");
  const std::string object = kube::EscapeUrl(JsonText(spec, "object.describedObject.name"));
  if (kind == "Namespace")
    return {Concat(custom, "/namespaces/", object, "/metrics/", metric), query};
  const std::string group = GroupOf(JsonText(spec, "object.describedObject.apiVersion"));
  const std::string resource = PluralOf(kind) + (group.empty() ? "" : "." + group);
  return {Concat(custom, "/namespaces/", space, "/", resource, "/", object, "/", metric), query};
}

}  // namespace tepal::diagnosis
