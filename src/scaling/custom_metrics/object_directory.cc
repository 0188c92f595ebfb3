#include "scaling/custom_metrics/object_directory.h"

#include <algorithm>

#include "core/base/text.h"
#include "core/telemetry/log.h"
#include "scaling/custom_metrics/api_request.h"

namespace tepal::custom_metrics {
namespace {

// The controller's --horizontal-pod-autoscaler-initial-readiness-delay.
constexpr int64_t kInitialReadinessSeconds = 30;

// "2026-01-02T03:04:05Z" in seconds since 1970; nothing for other texts.
std::optional<int64_t> SecondsOf(std::string_view text) {
  if (text.size() < 20 || text[4] != '-' || text[7] != '-' || text[10] != 'T') return std::nullopt;
  const auto year = ParseNumber<int>(text.substr(0, 4));
  const auto month = ParseNumber<unsigned>(text.substr(5, 2));
  const auto day = ParseNumber<unsigned>(text.substr(8, 2));
  const auto hour = ParseNumber<int>(text.substr(11, 2));
  const auto minute = ParseNumber<int>(text.substr(14, 2));
  const auto second = ParseNumber<int>(text.substr(17, 2));
  if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
  const std::chrono::sys_days date =
      std::chrono::year(*year) / std::chrono::month(*month) / std::chrono::day(*day);
  return date.time_since_epoch().count() * 86'400ll + *hour * 3600 + *minute * 60 + *second;
}

const json::Value* ReadyCondition(const json::Value& pod) {
  const json::Value* const status = pod.Find("status");
  const json::Value* const conditions = status == nullptr ? nullptr : status->Find("conditions");
  if (conditions == nullptr || conditions->AsArray() == nullptr) return nullptr;
  for (const json::Value& one : *conditions->AsArray()) {
    if (kube::TextAt(one, "type") == "Ready") return &one;
  }
  return nullptr;
}

void CopyText(const json::Value& from, std::string_view key, json::Value::Object& into) {
  const json::Value* const found = from.Find(key);
  if (found != nullptr && found->AsString() != nullptr) into.emplace_back(key, *found);
}

std::vector<std::string> NamesOf(const std::vector<json::Value>& objects) {
  std::vector<std::string> names;
  names.reserve(objects.size());
  for (const json::Value& one : objects) names.emplace_back(kube::NameOf(one));
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

bool IsPods(const ObjectKind& kind) { return kind.resource == GroupResource{"", "pods"}; }

}  // namespace

bool IsStartingOrGone(const json::Value& pod) {
  if (!kube::TextAt(pod, "metadata", "deletionTimestamp").empty()) return true;
  const std::string_view phase = kube::TextAt(pod, "status", "phase");
  if (phase != "Running") return true;
  const json::Value* const ready = ReadyCondition(pod);
  if (ready == nullptr) return true;
  if (kube::TextAt(*ready, "status") == "True") return false;
  const auto since = SecondsOf(kube::TextAt(*ready, "lastTransitionTime"));
  const auto started = SecondsOf(kube::TextAt(pod, "status", "startTime"));
  return !since || !started || *since < *started + kInitialReadinessSeconds;
}

json::Value PodFacts(const json::Value& pod) {
  json::Value::Object metadata, status;
  if (const json::Value* const from = pod.Find("metadata")) {
    for (const char* key : {"name", "namespace", "resourceVersion", "deletionTimestamp"}) {
      CopyText(*from, key, metadata);
    }
    const json::Value* const labels = from->Find("labels");
    if (labels != nullptr) metadata.emplace_back("labels", *labels);
  }
  if (const json::Value* const from = pod.Find("status")) {
    CopyText(*from, "phase", status);
    CopyText(*from, "startTime", status);
    if (const json::Value* const ready = ReadyCondition(pod)) {
      json::Value::Object condition;
      for (const char* key : {"type", "status", "lastTransitionTime"}) {
        CopyText(*ready, key, condition);
      }
      status.emplace_back("conditions",
                          json::Value(json::Value::Array{json::Value(std::move(condition))}));
    }
  }
  json::Value::Object made;
  made.emplace_back("metadata", json::Value(std::move(metadata)));
  made.emplace_back("status", json::Value(std::move(status)));
  return json::Value(std::move(made));
}

// What is learnt from the API server; answers that come too late find it gone.
struct ObjectDirectory::State {
  std::map<GroupResource, LearntKind> learnt;
};

ObjectDirectory::ObjectDirectory(env::EventLoop& loop, kube::Client& client, env::Random& random,
                                 Options options)
    : loop_(loop),
      client_(client),
      options_(options),
      pods_(loop, client, random, {kube::kPods, ""}, {}, {}),
      state_(std::make_shared<State>()) {}

ObjectDirectory::~ObjectDirectory() = default;

void ObjectDirectory::Start() {
  kube::Informer::Calls calls;
  calls.on_change = [](const kube::Change&) {};
  calls.keep = [](const json::Value& pod) { return PodFacts(pod); };
  calls.on_trouble = [this](const Status& why) {
    if (why.message() == trouble_) return;
    trouble_ = why.message();
    telemetry::LogWarning(Concat("watching pods: ", trouble_));
  };
  pods_.Start(std::move(calls));
}

void ObjectDirectory::FindKind(const GroupResource& resource,
                               Function<void(Result<ObjectKind>)> done) {
  if (const ObjectKind* const known = FindObjectKind(resource)) return done(*known);
  const auto learnt = state_->learnt.find(resource);
  if (learnt != state_->learnt.end() && loop_.Now() < learnt->second.until) {
    return done(learnt->second.kind);
  }
  if (resource.group.empty()) return done(NotFound(Concat("no kind '", resource.resource, "'")));
  kube::Request groups;
  groups.path = Concat("/apis/", kube::EscapeUrl(resource.group));
  const std::weak_ptr<State> weak = state_;
  client_.Send(std::move(groups), [this, weak, resource,
                                   done = std::move(done)](kube::Answer group) mutable {
    const std::string version(kube::TextAt(group.body, "preferredVersion", "version"));
    if (group.http_status == 404) return done(NotFound("no such group"));
    if (!group.ok() || version.empty()) {
      return done(Unavailable(Concat("looking a group up: ", group.status.message())));
    }
    if (weak.expired()) return;
    kube::Request list;
    list.path = Concat("/apis/", kube::EscapeUrl(resource.group), "/", kube::EscapeUrl(version));
    client_.Send(std::move(list), [this, weak, resource, version,
                                   done = std::move(done)](kube::Answer answer) mutable {
      const auto state = weak.lock();
      if (!answer.ok() || state == nullptr) {
        return done(Unavailable(Concat("looking a kind up: ", answer.status.message())));
      }
      const json::Value* const resources = answer.body.Find("resources");
      if (resources == nullptr || resources->AsArray() == nullptr) {
        return done(Unavailable("looking a kind up: the answer has no resources"));
      }
      for (const json::Value& one : *resources->AsArray()) {
        if (kube::TextAt(one, "name") != resource.resource) continue;
        const json::Value* const namespaced = one.Find("namespaced");
        const ObjectKind kind{
            resource, version, std::string(kube::TextAt(one, "kind")),
            namespaced == nullptr || namespaced->AsBool() == nullptr || *namespaced->AsBool()};
        state->learnt[resource] = {kind, loop_.Now() + options_.kinds_keep};
        return done(kind);
      }
      done(NotFound(Concat("no kind '", ToString(resource), "'")));
    });
  });
}

std::vector<std::string> ObjectDirectory::PodNames(const std::string& name_space,
                                                   const LabelSelector& selector) const {
  std::vector<std::string> names;
  const std::string prefix = name_space + "/";
  const auto& pods = pods_.objects();
  for (auto one = pods.lower_bound(prefix); one != pods.end(); ++one) {
    if (!one->first.starts_with(prefix)) break;
    const json::Value& pod = *one->second;
    const bool selected =
        selector.Matches([&pod](const std::string& key) { return kube::LabelOf(pod, key); });
    if (!selected) continue;
    if (!options_.count_starting_pods && IsStartingOrGone(pod)) continue;
    names.emplace_back(kube::NameOf(pod));
  }
  return names;
}

void ObjectDirectory::FindNames(const ObjectKind& kind, const std::string& name_space,
                                const LabelSelector& selector,
                                Function<void(Result<std::vector<std::string>>)> done) {
  if (IsPods(kind) && pods_.synced()) return done(PodNames(name_space, selector));
  const bool leave_out = IsPods(kind) && !options_.count_starting_pods;
  client_.List(
      {{kind.resource.group, kind.version, kind.resource.resource, kind.namespaced},
       kind.namespaced ? name_space : std::string()},
      {selector.ToString(), ""},
      [leave_out, done = std::move(done)](kube::Answer answer, kube::ObjectList list) mutable {
        if (!answer.ok()) {
          return done(
              Unavailable(Concat("unable to list matching resources: ", answer.status.message())));
        }
        if (leave_out) std::erase_if(list.objects, IsStartingOrGone);
        done(NamesOf(list.objects));
      });
}

}  // namespace tepal::custom_metrics
