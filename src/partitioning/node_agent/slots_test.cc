#include "partitioning/node_agent/slots.h"

#include <gtest/gtest.h>

#include "core/base/text.h"
#include "partitioning/node_agent/features.h"
#include "partitioning/node_agent/kubelet_watch.h"
#include "partitioning/node_agent/other_plugin.h"

namespace tepal::node_agent {
namespace {

const mig::GpuModel& Model() { return *mig::FindGpuModel("A100-40"); }

mig::Gpu MakeGpu(int index, const std::vector<std::pair<const char*, int>>& instances,
                 bool mig = true) {
  mig::Gpu gpu;
  gpu.index = index;
  gpu.uuid = Concat("GPU-", index);
  gpu.name = Model().name;
  gpu.memory_bytes = 40536ull << 20;
  gpu.model = std::shared_ptr<const mig::GpuModel>(&Model(), [](auto*) {});
  gpu.mig_enabled = mig;
  int id = 0;
  for (const auto& [profile, start] : instances) {
    mig::GpuInstance instance;
    instance.id = ++id;
    instance.placement = {mig::FindProfile(Model(), profile), start};
    mig::ComputeInstance compute;
    compute.slices = instance.placement.profile->compute_slices;
    compute.uuid = Concat("MIG-", index, "-", start);
    compute.memory_bytes = 4864ull << 20;
    compute.multiprocessors = 14;
    instance.compute.push_back(compute);
    gpu.instances.push_back(instance);
  }
  return gpu;
}

std::string TextOf(const Offer& offer) {
  std::string text = offer.problem;
  for (const SlotPool& pool : offer.pools)
    text += Concat(pool.resource, "=", pool.slots.size(), " ");
  return text;
}

const std::vector<std::pair<const char*, int>> kSeven = {
    {"1g.5gb", 0}, {"1g.5gb", 1}, {"1g.5gb", 2}, {"1g.5gb", 3},
    {"1g.5gb", 4}, {"1g.5gb", 5}, {"1g.5gb", 6}};

TEST(Offer, MixedIsTheRecipesLayout) {
  const std::vector<mig::Gpu> gpus = {MakeGpu(0, kSeven), MakeGpu(1, {}, false)};
  EXPECT_EQ(TextOf(OfferOf(gpus, Strategy::kMixed)), "nvidia.com/gpu=1 nvidia.com/mig-1g.5gb=7 ");
  EXPECT_EQ(TextOf(OfferOf(gpus, Strategy::kNone)), "nvidia.com/gpu=1 ");
  EXPECT_EQ(TextOf(OfferOf(gpus, Strategy::kSingle)),
            "strategy single: MIG is on for 1 of 2 GPUs, expected all or none");
}

TEST(Offer, SingleWantsOneKindOnEveryGpu) {
  EXPECT_EQ(TextOf(OfferOf(std::vector{MakeGpu(0, kSeven), MakeGpu(1, kSeven)}, Strategy::kSingle)),
            "nvidia.com/gpu=14 ");
  EXPECT_EQ(TextOf(OfferOf(std::vector{MakeGpu(0, {}, false)}, Strategy::kSingle)),
            "nvidia.com/gpu=1 ");
  EXPECT_EQ(TextOf(OfferOf(std::vector{MakeGpu(0, {})}, Strategy::kSingle)),
            "strategy single: GPU 0 has MIG on and no MIG device");
  EXPECT_EQ(
      TextOf(OfferOf(std::vector{MakeGpu(0, {{"1g.5gb", 0}, {"3g.20gb", 4}})}, Strategy::kSingle)),
      "strategy single: MIG devices of more than one kind: 1g.5gb and 3g.20gb");
}

TEST(Offer, LeavesOutABrokenGpuAndNamesMediaExtensions) {
  std::vector<mig::Gpu> gpus = {MakeGpu(0, {{"1g.5gb+me", 0}}), MakeGpu(1, kSeven)};
  gpus[1].problem = "lost";
  EXPECT_EQ(TextOf(OfferOf(gpus, Strategy::kMixed)), "nvidia.com/mig-1g.5gb.me=1 ");
}

TEST(Prefer, FillsTheGpuThatIsUsedMost) {
  const std::vector<mig::Gpu> gpus = {MakeGpu(0, kSeven), MakeGpu(1, kSeven)};
  const std::vector<Slot> slots = OfferOf(gpus, Strategy::kMixed).pools.front().slots;
  std::vector<std::string> available;
  for (const Slot& slot : slots) {
    if (slot.uuid != "MIG-1-0" && slot.uuid != "MIG-1-1") available.push_back(slot.uuid);
  }
  EXPECT_EQ(Prefer(slots, available, {}, 2), (std::vector<std::string>{"MIG-1-2", "MIG-1-3"}));
  EXPECT_EQ(Prefer(slots, available, {"MIG-0-5"}, 2),
            (std::vector<std::string>{"MIG-0-5", "MIG-0-0"}));
  EXPECT_EQ(Prefer(slots, {}, {}, 2).size(), 0u);
}

TEST(Health, StrikesTheInstanceAndNotItsSuccessor) {
  std::vector<mig::Gpu> gpus = {MakeGpu(0, kSeven), MakeGpu(1, {}, false)};
  Health health;
  EXPECT_FALSE(health.OnXid({0, 2, -1, 31}, gpus));  // The application's.
  EXPECT_TRUE(health.OnXid({0, 2, -1, 79}, gpus));
  EXPECT_FALSE(health.OnXid({0, 2, 0, 79}, gpus));  // Known.
  Offer offer = OfferOf(gpus, Strategy::kMixed);
  health.Apply(offer);
  for (const Slot& slot : offer.pools[1].slots) EXPECT_EQ(slot.healthy, slot.gpu_instance != 2);
  gpus[0].instances[1].compute[0].uuid = "MIG-new";
  offer = OfferOf(gpus, Strategy::kMixed);
  health.Apply(offer);
  for (const Slot& slot : offer.pools[1].slots) EXPECT_TRUE(slot.healthy);
  EXPECT_TRUE(health.OnXid({1, -1, -1, 79}, gpus));
  health.Apply(offer);
  EXPECT_FALSE(offer.pools[0].slots[0].healthy);
}

TEST(Features, DescribeTheDevices) {
  const std::vector<mig::Gpu> gpus = {MakeGpu(0, kSeven), MakeGpu(1, {}, false)};
  const Labels labels = FeatureLabels(gpus, Strategy::kMixed);
  EXPECT_EQ(labels.at("nvidia.com/gpu.product"), "NVIDIA-A100-SXM4-40GB");
  EXPECT_EQ(labels.at("nvidia.com/gpu.count"), "2");
  EXPECT_EQ(labels.at("nvidia.com/mig.capable"), "true");
  EXPECT_EQ(labels.at("nvidia.com/mig.strategy"), "mixed");
  EXPECT_EQ(labels.at("nvidia.com/mig-1g.5gb.count"), "7");
  EXPECT_EQ(labels.at("nvidia.com/mig-1g.5gb.product"), "NVIDIA-A100-SXM4-40GB-MIG-1g.5gb");
  EXPECT_EQ(labels.at("nvidia.com/mig-1g.5gb.slices.gi"), "1");
  EXPECT_EQ(FeatureLabels(gpus, Strategy::kSingle).at("nvidia.com/gpu.product"),
            "NVIDIA-A100-SXM4-40GB-MIG-INVALID");
  for (const auto& [name, value] : labels) EXPECT_TRUE(IsFeatureLabel(name)) << name;
  EXPECT_FALSE(IsFeatureLabel("nvidia.com/mig.config"));
  EXPECT_TRUE(FeatureLabels({}, Strategy::kMixed).empty());
}

TEST(KubeletWatch, RegistersAgainWhenTheKubeletIsNew) {
  using Action = KubeletWatch::Action;
  KubeletWatch watch;
  const Instant now{};
  const WallTime first(1s), second(2s);
  EXPECT_EQ(watch.OnSight({std::nullopt, true}, now), Action::kNothing);
  EXPECT_EQ(watch.OnSight({first, true}, now), Action::kRegister);
  EXPECT_EQ(watch.OnSight({first, true}, now), Action::kNothing);
  EXPECT_EQ(watch.OnSight({first, false}, now), Action::kRegister);  // It has removed our sockets.
  EXPECT_EQ(watch.OnSight({second, true}, now), Action::kRegister);
  watch.OnFailure(now);
  EXPECT_EQ(watch.OnSight({second, true}, now), Action::kNothing);
  EXPECT_EQ(watch.OnSight({second, true}, now + 2s), Action::kRegister);
  EXPECT_EQ(watch.OnSight({std::nullopt, true}, now), Action::kStop);
}

TEST(OtherPlugin, IsKnownByItsSigns) {
  const auto parse = [](std::string_view text) { return json::Parse(text).value(); };
  const auto plain = parse(
      R"({"metadata":{"name":"web","namespace":"d"},"spec":{"template":{"spec":{"containers":[{"image":"nginx:1"}]}}}})");
  EXPECT_EQ(FindOtherPlugin({plain}, {"kubelet.sock", "tepal-gpu.sock"}), std::nullopt);
  const auto stock = parse(
      R"({"metadata":{"name":"nvdp","namespace":"kube-system"},"spec":{"template":{"spec":{"containers":[{"image":"nvcr.io/nvidia/k8s-device-plugin:v0.17"}]}}}})");
  EXPECT_EQ(FindOtherPlugin({plain, stock}, {}),
            "DaemonSet kube-system/nvdp (image nvcr.io/nvidia/k8s-device-plugin:v0.17)");
  EXPECT_EQ(FindOtherPlugin({}, {"nvidia-gpu.sock"}),
            "socket nvidia-gpu.sock in the kubelet's folder");
}

}  // namespace
}  // namespace tepal::node_agent
