#include "partitioning/node_agent/deletion_costs.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "core/base/text.h"
#include "core/json/writer.h"
#include "network/kube/api.h"
#include "partitioning/mig/victims.h"

namespace tepal::node_agent {
namespace {

using Key = std::pair<std::string, std::string>;  // Namespace, name.

struct Pod {
  const json::Value* object = nullptr;
  const std::string* cost = nullptr;
  const std::string* our_cost = nullptr;
  bool in_replica_set = false;

  bool somebody_elses() const {
    if (cost == nullptr || our_cost == nullptr) return cost != our_cost;
    return *cost != *our_cost;
  }
  bool movable() const { return in_replica_set && !somebody_elses(); }
};

bool IsInReplicaSet(const json::Value& pod) {
  const json::Value* metadata = pod.Find("metadata");
  const json::Value* owners = metadata == nullptr ? nullptr : metadata->Find("ownerReferences");
  if (owners == nullptr || owners->AsArray() == nullptr) return false;
  return std::any_of(owners->AsArray()->begin(), owners->AsArray()->end(), [](const auto& owner) {
    const json::Value* controls = owner.Find("controller");
    return controls != nullptr && controls->AsBool() != nullptr && *controls->AsBool() &&
           kube::TextAt(owner, "kind") == "ReplicaSet";
  });
}

bool IsEnding(const json::Value& pod) {
  const std::string_view phase = kube::TextAt(pod, "status", "phase");
  return phase == "Succeeded" || phase == "Failed" ||
         !kube::TextAt(pod, "metadata", "deletionTimestamp").empty();
}

std::map<Key, Pod> StayingPods(std::span<const json::Value> objects) {
  std::map<Key, Pod> pods;
  for (const json::Value& object : objects) {
    if (IsEnding(object)) continue;
    Pod& pod = pods[{std::string(kube::NamespaceOf(object)), std::string(kube::NameOf(object))}];
    pod.object = &object;
    pod.cost = kube::AnnotationOf(object, kCostAnnotation);
    pod.our_cost = kube::AnnotationOf(object, kOurCostAnnotation);
    pod.in_replica_set = IsInReplicaSet(object);
  }
  return pods;
}

// The pods in each instance, by its devices.
std::map<std::string, std::set<Key>> PodsByDevice(std::span<const PodDevices> holders,
                                                  const std::map<Key, Pod>& pods) {
  std::map<std::string, std::set<Key>> held;
  for (const PodDevices& holder : holders) {
    const Key key{holder.name_space, holder.name};
    if (!pods.contains(key)) continue;
    for (const std::string& device : holder.devices) held[device].insert(key);
  }
  return held;
}

// The GPUs for DeletionCosts, and which pods its values are for.
struct Question {
  std::vector<mig::Tenants> gpus;
  std::vector<std::vector<std::set<Key>>> pods;  // As `removable`.
};

Question Ask(std::span<const mig::Gpu> gpus, const std::map<std::string, std::set<Key>>& held,
             const std::map<Key, Pod>& pods) {
  Question question;
  for (const mig::Gpu& gpu : gpus) {
    if (!gpu.problem.empty() || gpu.model == nullptr || !gpu.placements_known) continue;
    mig::Tenants& tenants = question.gpus.emplace_back();
    tenants.model = gpu.model.get();
    std::vector<std::set<Key>>& removable = question.pods.emplace_back();
    for (const mig::GpuInstance& instance : gpu.instances) {
      std::set<Key> inside;
      for (const mig::ComputeInstance& compute : instance.compute) {
        if (const auto found = held.find(compute.uuid); found != held.end())
          inside.insert(found->second.begin(), found->second.end());
      }
      if (instance.placement.profile == nullptr || inside.empty()) continue;
      if (std::all_of(inside.begin(), inside.end(),
                      [&](const Key& key) { return pods.at(key).movable(); })) {
        tenants.removable.push_back(instance.placement);
        removable.push_back(std::move(inside));
      } else {
        tenants.staying.push_back(instance.placement);
      }
    }
  }
  return question;
}

std::map<Key, int32_t> CostsOf(const Question& question) {
  const std::vector<std::vector<int32_t>> costs = mig::DeletionCosts(question.gpus);
  std::map<Key, int32_t> of_pod;
  for (size_t gpu = 0; gpu < costs.size(); ++gpu) {
    for (size_t i = 0; i < costs[gpu].size(); ++i) {
      for (const Key& key : question.pods[gpu][i]) {
        int32_t& cost = of_pod.emplace(key, costs[gpu][i]).first->second;
        cost = std::max(cost, costs[gpu][i]);
      }
    }
  }
  return of_pod;
}

std::string MergePatch(const json::Value& pod, const std::optional<std::string>& cost) {
  json::Writer out;
  out.BeginObject().Key("metadata").BeginObject();
  out.Key("resourceVersion").String(kube::ResourceVersionOf(pod));
  out.Key("annotations").BeginObject();
  for (const std::string_view name : {kCostAnnotation, kOurCostAnnotation}) {
    out.Key(name);
    cost ? out.String(*cost) : out.Null();
  }
  out.EndObject().EndObject().EndObject();
  return out.Take();
}

}  // namespace

std::vector<PodCostPatch> DeletionCostPatches(std::span<const mig::Gpu> gpus,
                                              std::span<const PodDevices> holders,
                                              std::span<const json::Value> objects) {
  const std::map<Key, Pod> pods = StayingPods(objects);
  const std::map<Key, int32_t> costs = CostsOf(Ask(gpus, PodsByDevice(holders, pods), pods));
  std::vector<PodCostPatch> patches;
  for (const auto& [key, pod] : pods) {
    if (pod.somebody_elses()) continue;
    std::optional<std::string> wanted;
    if (const auto found = costs.find(key); found != costs.end()) wanted = Concat(found->second);
    const bool right = wanted ? pod.cost != nullptr && *pod.cost == *wanted : pod.cost == nullptr;
    if (!right) patches.push_back({key.first, key.second, MergePatch(*pod.object, wanted)});
  }
  return patches;
}

}  // namespace tepal::node_agent
