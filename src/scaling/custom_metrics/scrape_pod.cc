#include "scaling/custom_metrics/scrape_pod.h"

#include <algorithm>

#include "core/base/text.h"
#include "network/kube/api.h"

namespace tepal::custom_metrics {
namespace {

using kube::TextAt;

const json::Value::Array* ListAt(const json::Value& object, std::string_view a,
                                 std::string_view b) {
  const json::Value* at = object.Find(a);
  at = at == nullptr ? nullptr : at->Find(b);
  return at == nullptr ? nullptr : at->AsArray();
}

bool IsReady(const json::Value& object) {
  const json::Value::Array* conditions = ListAt(object, "status", "conditions");
  if (conditions == nullptr) return false;
  for (const json::Value& condition : *conditions) {
    if (TextAt(condition, "type") == "Ready") return TextAt(condition, "status") == "True";
  }
  return false;
}

uint16_t PortNamed(const json::Value& object, const std::string& name) {
  const json::Value::Array* containers = ListAt(object, "spec", "containers");
  if (containers == nullptr) return 0;
  for (const json::Value& container : *containers) {
    const json::Value* ports = container.Find("ports");
    if (ports == nullptr || ports->AsArray() == nullptr) continue;
    for (const json::Value& port : *ports->AsArray()) {
      const json::Value* number = port.Find("containerPort");
      if (TextAt(port, "name") != name || number == nullptr || number->AsInt() == nullptr) continue;
      const int64_t value = *number->AsInt();
      if (value > 0 && value <= 65535) return static_cast<uint16_t>(value);
    }
  }
  return 0;
}

uint16_t PortOf(const json::Value& object, const PortRule& rule) {
  if (rule.number != 0) return rule.number;
  if (rule.annotation.empty()) return PortNamed(object, rule.name);
  const std::string* text = kube::AnnotationOf(object, rule.annotation);
  return text == nullptr ? uint16_t{0} : ParseNumber<uint16_t>(*text).value_or(0);
}

// Its owner; of a ReplicaSet also the Deployment, whose name is that of the set without the hash.
void ReadOwners(const json::Value& object, ScrapePod& pod) {
  const json::Value::Array* owners = ListAt(object, "metadata", "ownerReferences");
  if (owners == nullptr) return;
  for (const json::Value& owner : *owners) {
    const std::string_view kind = TextAt(owner, "kind");
    std::string name(TextAt(owner, "name"));
    if (name.empty() || !TextAt(owner, "apiVersion").starts_with("apps/")) continue;
    if (kind == "StatefulSet") {
      pod.owners.push_back({{"apps", "statefulsets"}, std::move(name)});
    } else if (kind == "ReplicaSet") {
      const std::string* hash = kube::LabelOf(object, "pod-template-hash");
      if (hash != nullptr && !hash->empty() && name.ends_with("-" + *hash)) {
        pod.owners.push_back(
            {{"apps", "deployments"}, name.substr(0, name.size() - hash->size() - 1)});
      }
      pod.owners.push_back({{"apps", "replicasets"}, std::move(name)});
    }
  }
}

std::optional<env::Address> AddressOf(const std::string& ip, uint16_t port) {
  if (ip.empty() || port == 0) return std::nullopt;
  const bool ip6 = ip.find(':') != std::string::npos;
  return env::Address{ip6 ? env::Address::Family::kIp6 : env::Address::Family::kIp4, ip, port};
}

bool IsNumeric(const env::Address& address) {
  const bool ip4 = address.family == env::Address::Family::kIp4;
  return address.host.find_first_not_of(ip4 ? "0123456789." : "0123456789abcdefABCDEF:.") ==
         std::string::npos;
}

// The members of `from` that are listed, as they are.
json::Value::Object Only(const json::Value* from, std::initializer_list<std::string_view> names) {
  json::Value::Object kept;
  if (from == nullptr || from->AsObject() == nullptr) return kept;
  for (const auto& [name, value] : *from->AsObject()) {
    if (std::find(names.begin(), names.end(), name) != names.end()) kept.emplace_back(name, value);
  }
  return kept;
}

json::Value PortsOf(const json::Value& object) {
  json::Value::Array kept;
  if (const json::Value::Array* containers = ListAt(object, "spec", "containers")) {
    for (const json::Value& container : *containers) {
      kept.emplace_back(Only(&container, {"ports"}));
    }
  }
  json::Value::Object spec;
  spec.emplace_back("containers", json::Value(std::move(kept)));
  return json::Value(std::move(spec));
}

}  // namespace

Result<PortRule> PortRule::Parse(std::string_view text) {
  constexpr std::string_view kAnnotation = "annotation:";
  PortRule rule;
  if (text.starts_with(kAnnotation)) {
    rule.annotation = text.substr(kAnnotation.size());
  } else if (const auto number = ParseNumber<uint32_t>(text)) {
    if (*number > 0 && *number <= 65535) rule.number = static_cast<uint16_t>(*number);
  } else {
    rule.name = text;
  }
  if (rule.number == 0 && rule.name.empty() && rule.annotation.empty()) {
    return InvalidArgument(
        Concat("got '", text, "', expected a port's number, its name or annotation:NAME"));
  }
  return rule;
}

std::optional<ScrapePod> ReadPod(const json::Value& object, const PortRule& port) {
  ScrapePod pod;
  pod.name_space = kube::NamespaceOf(object);
  pod.name = kube::NameOf(object);
  if (pod.name.empty() || pod.name_space.empty()) return std::nullopt;
  pod.uid = TextAt(object, "metadata", "uid");
  pod.ip = TextAt(object, "status", "podIP");
  pod.address = AddressOf(pod.ip, PortOf(object, port));
  pod.ready = IsReady(object);
  pod.terminating = !TextAt(object, "metadata", "deletionTimestamp").empty();
  const std::string_view phase = TextAt(object, "status", "phase");
  pod.over = phase == "Succeeded" || phase == "Failed";
  const json::Value* metadata = object.Find("metadata");
  const json::Value* labels = metadata == nullptr ? nullptr : metadata->Find("labels");
  if (labels != nullptr && labels->AsObject() != nullptr) {
    for (const auto& [name, value] : *labels->AsObject()) {
      if (value.AsString() != nullptr) pod.labels[name] = *value.AsString();
    }
  }
  ReadOwners(object, pod);
  return pod;
}

json::Value TrimPod(const json::Value& object, const PortRule& port) {
  const json::Value* from = object.Find("metadata");
  json::Value::Object metadata = Only(from, {"name", "namespace", "uid", "resourceVersion",
                                             "deletionTimestamp", "labels", "ownerReferences"});
  if (const std::string* text = kube::AnnotationOf(object, port.annotation)) {
    json::Value::Object annotations;
    annotations.emplace_back(port.annotation, json::Value(*text));
    metadata.emplace_back("annotations", json::Value(std::move(annotations)));
  }
  json::Value::Object trimmed;
  trimmed.emplace_back("metadata", json::Value(std::move(metadata)));
  if (!port.name.empty()) trimmed.emplace_back("spec", PortsOf(object));
  trimmed.emplace_back("status",
                       json::Value(Only(object.Find("status"), {"phase", "podIP", "conditions"})));
  return json::Value(std::move(trimmed));
}

Result<ScrapePod> ParseStaticPod(std::string_view text) {
  const auto complain = [&] {
    return InvalidArgument(
        Concat("got '", text, "', expected NAMESPACE/POD=HOST:PORT[,LABEL=VALUE]..."));
  };
  const std::vector<std::string_view> parts = Split(text, ',');
  const size_t equals = parts.front().find('=');
  if (equals == std::string_view::npos) return complain();
  const std::vector<std::string_view> names = Split(parts.front().substr(0, equals), '/');
  if (names.size() != 2 || names[0].empty() || names[1].empty()) return complain();
  Result<env::Address> address = env::Address::Parse(parts.front().substr(equals + 1));
  if (!address.ok() || !IsNumeric(*address)) return complain();
  ScrapePod pod;
  pod.name_space = names[0];
  pod.name = names[1];
  pod.uid = text;
  pod.ip = address->host;
  pod.address = *std::move(address);
  pod.ready = true;
  for (size_t i = 1; i < parts.size(); ++i) {
    const size_t at = parts[i].find('=');
    if (at == 0 || at == std::string_view::npos) return complain();
    pod.labels[std::string(parts[i].substr(0, at))] = parts[i].substr(at + 1);
  }
  return pod;
}

}  // namespace tepal::custom_metrics
