#include "partitioning/node_agent/deletion_costs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "core/base/text.h"

namespace tepal::node_agent {
namespace {

const mig::GpuModel& Model() { return *mig::FindGpuModel("A100-40"); }

// MIG devices "<gpu>-<start>", or "<gpu>-<start>-<n>" where an instance has several.
mig::Gpu MakeGpu(int index, const std::vector<std::pair<const char*, int>>& instances,
                 int compute_count = 1) {
  mig::Gpu gpu;
  gpu.index = index;
  gpu.model = std::shared_ptr<const mig::GpuModel>(&Model(), [](auto*) {});
  gpu.mig_enabled = true;
  gpu.placements_known = true;
  for (const auto& [profile, start] : instances) {
    mig::GpuInstance& instance = gpu.instances.emplace_back();
    instance.placement = {mig::FindProfile(Model(), profile), start};
    for (int n = 0; n < compute_count; ++n) {
      mig::ComputeInstance& compute = instance.compute.emplace_back();
      compute.uuid = Concat(index, "-", start);
      if (compute_count > 1) compute.uuid += Concat("-", n);
    }
  }
  return gpu;
}

const std::vector<std::pair<const char*, int>> kSeven = {
    {"1g.5gb", 0}, {"1g.5gb", 1}, {"1g.5gb", 2}, {"1g.5gb", 3},
    {"1g.5gb", 4}, {"1g.5gb", 5}, {"1g.5gb", 6}};

// The node's pods, as the kubelet and the API server know them.
class Node {
 public:
  void Add(const std::string& name, std::set<std::string> devices,
           const std::string& owner = "ReplicaSet") {
    holders_.push_back({"default", name, std::move(devices)});
    owners_[name] = owner;
  }
  void Annotate(const std::string& name, std::string_view annotation, const std::string& value) {
    annotations_[name][std::string(annotation)] = value;
  }
  void Remove(const std::string& name, std::string_view annotation) {
    annotations_[name].erase(std::string(annotation));
  }
  void End(const std::string& name) { ending_.insert(name); }
  void Forget(const std::string& name) { owners_.erase(name); }  // The API server does.
  std::string Cost(const std::string& name) const {
    const auto pod = annotations_.find(name);
    if (pod == annotations_.end()) return "none";
    const auto found = pod->second.find(std::string(kCostAnnotation));
    return found == pod->second.end() ? "none" : found->second;
  }

  // Patches as an API server does; the names of those patched.
  std::vector<std::string> Settle(const std::vector<mig::Gpu>& gpus) {
    std::vector<json::Value> objects;
    for (const auto& [name, owner] : owners_) objects.push_back(Object(name, owner));
    std::vector<std::string> patched;
    for (const PodCostPatch& patch : DeletionCostPatches(gpus, holders_, objects)) {
      EXPECT_EQ(patch.name_space, "default");
      const json::Value body = *json::Parse(patch.merge_patch);
      EXPECT_EQ(body.AsObject()->size(), 1u);
      const json::Value& metadata = *body.Find("metadata");
      EXPECT_EQ(metadata.AsObject()->size(), 2u);
      EXPECT_EQ(*metadata.Find("resourceVersion")->AsString(), Concat("version of ", patch.name));
      for (const auto& [key, value] : *metadata.Find("annotations")->AsObject()) {
        value.is_null() ? Remove(patch.name, key) : Annotate(patch.name, key, *value.AsString());
      }
      patched.push_back(patch.name);
    }
    return patched;
  }

 private:
  json::Value Object(const std::string& name, const std::string& owner) const {
    std::string annotations;
    if (const auto found = annotations_.find(name); found != annotations_.end()) {
      for (const auto& [key, value] : found->second)
        annotations += Concat(annotations.empty() ? "" : ",", "\"", key, "\":\"", value, "\"");
    }
    return *json::Parse(
        Concat(R"({"metadata":{"namespace":"default","name":")", name,
               R"(","resourceVersion":"version of )", name, "\"",
               ending_.contains(name) ? R"(,"deletionTimestamp":"2026-01-01T00:00:00Z")" : "",
               R"(,"ownerReferences":[{"kind":"Other"},{"controller":true,"kind":")", owner,
               R"("}],"annotations":{)", annotations, R"(}},"status":{"phase":"Running"}})"));
  }

  std::vector<PodDevices> holders_;
  std::map<std::string, std::string> owners_;
  std::map<std::string, std::map<std::string, std::string>> annotations_;
  std::set<std::string> ending_;
};

Node SevenPods() {
  Node node;
  for (int start = 0; start < 7; ++start) node.Add(Concat("p", start), {Concat("0-", start)});
  return node;
}

// Where a ReplicaSet's controller would make room first: the starts, cheapest first.
std::string Order(const Node& node, int pods) {
  std::vector<std::pair<int, int>> order;
  for (int n = 0; n < pods; ++n) {
    const std::string cost = node.Cost(Concat("p", n));
    if (cost != "none") order.emplace_back(std::stoi(cost), n);
  }
  std::sort(order.begin(), order.end());
  std::string text;
  for (const auto& [cost, n] : order) text += Concat(n);
  return text;
}

TEST(DeletionCosts, TheFirstThreeOfSevenMakeRoomForA3g) {
  Node node = SevenPods();
  const std::vector<mig::Gpu> gpus = {MakeGpu(0, kSeven)};
  EXPECT_EQ(node.Settle(gpus).size(), 7u);
  const std::string order = Order(node, 7);
  ASSERT_EQ(order.size(), 7u);
  mig::Layout staying;
  for (const char start : order.substr(3))
    staying.push_back({mig::FindProfile(Model(), "1g.5gb"), start - '0'});
  EXPECT_FALSE(mig::FreeStarts(Model(), staying, *mig::FindProfile(Model(), "3g.20gb")).empty())
      << order;
}

TEST(DeletionCosts, WhatIsRightIsNotPatchedAgain) {
  Node node = SevenPods();
  const std::vector<mig::Gpu> gpus = {MakeGpu(0, kSeven)};
  node.Settle(gpus);
  EXPECT_TRUE(node.Settle(gpus).empty());
}

TEST(DeletionCosts, EndingAndDeletedPodsAreGone) {
  const std::vector<mig::Gpu> gpus = {MakeGpu(0, kSeven)};
  Node node = SevenPods();
  node.Settle(gpus);
  const std::string order = Order(node, 7);
  const std::string first(1, order[0]), second(1, order[1]);
  node.End(Concat("p", first));
  node.Forget(Concat("p", second));
  const std::vector<std::string> patched = node.Settle(gpus);
  EXPECT_EQ(patched.size(), 5u);
  EXPECT_EQ(std::count(patched.begin(), patched.end(), Concat("p", first)), 0);
  // The third of before is now the first.
  EXPECT_EQ(node.Cost(Concat("p", order[2] - '0')), "0");
}

TEST(DeletionCosts, SomebodyElsesCostIsLeftAlone) {
  const std::vector<mig::Gpu> gpus = {MakeGpu(0, kSeven)};
  Node node = SevenPods();
  node.Annotate("p0", kCostAnnotation, "-100");
  EXPECT_EQ(node.Settle(gpus).size(), 6u);
  EXPECT_EQ(node.Cost("p0"), "-100");
  // Ours, changed or removed by hand, too.
  node.Annotate("p5", kCostAnnotation, "1000");
  node.Remove("p6", kCostAnnotation);
  node.Settle(gpus);
  EXPECT_EQ(node.Cost("p5"), "1000");
  EXPECT_EQ(node.Cost("p6"), "none");
  EXPECT_TRUE(node.Settle(gpus).empty());
  // Given back.
  for (const std::string_view annotation : {kCostAnnotation, kOurCostAnnotation})
    for (const char* name : {"p0", "p5", "p6"}) node.Remove(name, annotation);
  node.Settle(gpus);
  EXPECT_EQ(Order(node, 7).size(), 7u);
}

TEST(DeletionCosts, OnlyAReplicaSetsPodsHaveOne) {
  const std::vector<mig::Gpu> gpus = {MakeGpu(0, {{"1g.5gb", 0}, {"1g.5gb", 4}, {"1g.5gb", 5}})};
  Node node;
  node.Add("p0", {"0-0"});
  node.Add("p1", {"0-4"}, "StatefulSet");
  node.Add("p2", {"0-5"});
  EXPECT_EQ(node.Settle(gpus), (std::vector<std::string>{"p0", "p2"}));
  // p1 stays, in the right half; only the left one can be emptied.
  EXPECT_EQ(Order(node, 3), "02");
}

TEST(DeletionCosts, TheGpuThatHasBegunToEmptyIsEmptiedFirst) {
  const std::vector<mig::Gpu> gpus = {MakeGpu(0, kSeven), MakeGpu(1, {{"1g.5gb", 0}})};
  Node node = SevenPods();
  node.Add("p7", {"1-0"});
  node.Settle(gpus);
  EXPECT_EQ(node.Cost("p7"), "0");
}

TEST(DeletionCosts, PodsOfOneInstanceShareItsCost) {
  const std::vector<mig::Gpu> gpus = {MakeGpu(0, {{"3g.20gb", 0}, {"3g.20gb", 4}}, 2)};
  Node node;
  node.Add("p0", {"0-0-0"});
  node.Add("p1", {"0-0-1"});
  node.Add("p2", {"0-4-0"});
  node.Settle(gpus);
  EXPECT_NE(node.Cost("p0"), "none");
  EXPECT_EQ(node.Cost("p0"), node.Cost("p1"));
  EXPECT_NE(node.Cost("p0"), node.Cost("p2"));
  // One of them is to stay: so the instance does, and nothing is gained by the other's leaving.
  node.Annotate("p1", kCostAnnotation, "7");
  node.Settle(gpus);
  EXPECT_EQ(node.Cost("p0"), "none");
  EXPECT_EQ(node.Cost("p2"), "0");
}

TEST(DeletionCosts, APodInSeveralInstancesCostsAsTheDearest) {
  const std::vector<mig::Gpu> gpus = {MakeGpu(0, {{"1g.5gb", 0}, {"1g.5gb", 4}, {"1g.5gb", 5}})};
  Node each;
  each.Add("p0", {"0-0"});
  each.Add("p1", {"0-4"});
  each.Add("p2", {"0-5"});
  each.Settle(gpus);
  const std::string order = Order(each, 3);
  ASSERT_EQ(order, "012");  // The left half has the larger room.
  Node node;
  node.Add("p0", {"0-0", "0-5"});
  node.Add("p1", {"0-4"});
  node.Settle(gpus);
  EXPECT_EQ(Order(node, 2), "10");
}

TEST(DeletionCosts, WhatIsNoSlotOfOursHasNone) {
  mig::Gpu broken = MakeGpu(0, kSeven);
  broken.problem = "lost";
  mig::Gpu unknown = MakeGpu(1, kSeven);
  unknown.placements_known = false;
  Node node;
  node.Add("p0", {"0-0"});
  node.Add("p1", {"1-0"});
  node.Add("p2", {"GPU-2"});
  EXPECT_TRUE(node.Settle({broken, unknown}).empty());
}

}  // namespace
}  // namespace tepal::node_agent
