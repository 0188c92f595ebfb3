// Slots on GPUs: which there are, which number each has, which are taken and left.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apps/supervisor/placement_preference.h"
#include "apps/supervisor/slot_table.h"
#include "core/base/text.h"

namespace tepal::supervisor {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

std::shared_ptr<const mig::GpuModel> A100() {
  return {std::shared_ptr<void>(), mig::FindGpuModel("A100-40")};
}

mig::Gpu WholeGpu(int index) {
  return {.index = index, .uuid = Concat("GPU-", index), .model = A100()};
}

void Cut(mig::Gpu& gpu, const std::string& profile, int start, std::vector<int> compute = {}) {
  const mig::Profile* const found = mig::FindProfile(*gpu.model, profile);
  if (compute.empty()) compute = {found->compute_slices};
  gpu.mig_enabled = gpu.mig_pending = true;
  mig::GpuInstance instance{.id = 7 + static_cast<int>(gpu.instances.size()),
                            .placement = {found, start}};
  for (size_t i = 0; i < compute.size(); ++i) {
    instance.compute.push_back({.id = static_cast<int>(i),
                                .slices = compute[i],
                                .uuid = Concat("MIG-", gpu.index, "-", start, "-", i)});
  }
  gpu.instances.push_back(std::move(instance));
}

mig::Gpu Sevenths(int index) {
  mig::Gpu gpu = WholeGpu(index);
  for (int start = 6; start >= 0; --start) Cut(gpu, "1g.5gb", start);
  return gpu;
}

std::vector<std::string> NamesOf(const std::vector<Slot>& slots) {
  std::vector<std::string> names;
  for (const Slot& slot : slots) names.push_back(slot.name);
  return names;
}

// One GPU with seven 1g, one with MIG off: the recipe's mixed layout.
std::vector<mig::Gpu> Mixed() { return {Sevenths(0), WholeGpu(1)}; }

TEST(GpuSlots, MigDevicesAndWholeGpus) {
  const GpuSlots found = SlotsOf(Mixed(), {.source = SlotSource::kAuto});
  ASSERT_EQ(found.slots.size(), 8u);
  EXPECT_EQ(found.slots[0].name, "GPU 0 1g.5gb at 0");
  EXPECT_EQ(found.slots[0].device, "MIG-0-0-0");
  EXPECT_EQ(found.slots[6].name, "GPU 0 1g.5gb at 6");
  EXPECT_EQ(found.slots[7].name, "GPU 1");
  EXPECT_EQ(found.slots[7].device, "GPU-1");
  EXPECT_THAT(found.notes, IsEmpty());
  EXPECT_EQ(Describe(found), "8 slots on 2 GPUs: 7 x 1g.5gb, 1 x whole GPU");
}

TEST(GpuSlots, OnlyWhatTheFileAsksFor) {
  const std::vector<mig::Gpu> gpus = Mixed();
  EXPECT_EQ(SlotsOf(gpus, {.source = SlotSource::kMig}).slots.size(), 7u);
  EXPECT_THAT(SlotsOf(gpus, {.source = SlotSource::kMig}).notes,
              ElementsAre(HasSubstr("no slot on GPU 1: MIG is off")));
  EXPECT_THAT(NamesOf(SlotsOf(gpus, {.source = SlotSource::kGpu}).slots), ElementsAre("GPU 1"));
  SlotsConfig config{.source = SlotSource::kAuto};
  config.gpus = {"GPU-1"};
  EXPECT_THAT(NamesOf(SlotsOf(gpus, config).slots), ElementsAre("GPU 1"));
  config.gpus = {"0"};
  EXPECT_EQ(SlotsOf(gpus, config).slots.size(), 7u);
  config.profiles = {"3g.20gb"};
  EXPECT_THAT(SlotsOf(gpus, config).notes, ElementsAre(HasSubstr("slots.profiles")));
}

TEST(GpuSlots, SeveralDevicesOfOneInstance) {
  mig::Gpu gpu = WholeGpu(0);
  Cut(gpu, "3g.20gb", 4, {1, 2});
  EXPECT_THAT(NamesOf(SlotsOf({&gpu, 1}, {.source = SlotSource::kMig}).slots),
              ElementsAre("GPU 0 1c.3g.20gb at 4, compute 0", "GPU 0 2c.3g.20gb at 4, compute 1"));
}

TEST(GpuSlots, SaysWhatIsMissing) {
  std::vector<mig::Gpu> gpus = {WholeGpu(0), WholeGpu(1)};
  gpus[0].mig_enabled = gpus[0].mig_pending = true;
  gpus[1].problem = "nvmlDeviceGetMigMode: GPU is lost";
  const GpuSlots found = SlotsOf(gpus, {.source = SlotSource::kAuto});
  EXPECT_THAT(found.slots, IsEmpty());
  EXPECT_THAT(found.notes, ElementsAre("no slot on GPU 0: MIG is on and there is no MIG device "
                                       "yet; `tepal mig apply` makes them",
                                       HasSubstr("GPU is lost")));
}

TEST(GpuSlots, RefusesWhatIsNotThere) {
  const std::vector<mig::Gpu> gpus = Mixed();
  SlotsConfig config{.source = SlotSource::kMig};
  config.gpus = {"1", "2"};
  EXPECT_EQ(CheckSlots(gpus, config).message(),
            "field 'slots.gpus': got '2', expected indices of GPUs from 0 to 1 or their UUIDs "
            "(`nvidia-smi -L`)");
  config.gpus = {"GPU-0"};
  config.profiles = {"1g.6gb"};
  EXPECT_THAT(CheckSlots(gpus, config).message(),
              HasSubstr("field 'slots.profiles': got '1g.6gb', expected 1g.10gb, 1g.5gb,"));
  config.profiles = {"3g.20gb"};
  EXPECT_TRUE(CheckSlots(gpus, config).ok());
}

Slot Named(const std::string& id) { return {.id = id, .name = id}; }

TEST(SlotTable, WhoStaysKeepsTheNumberAndNewOnesTakeFreeOnes) {
  SlotTable table(3);
  bool free = true;
  const auto update = [&](std::vector<Slot> found) {
    return table.Update(found, [&](int) { return free; });
  };
  EXPECT_THAT(update({Named("a"), Named("b")}).added, ElementsAre(0, 1));
  SlotTable::Changes changes = update({Named("b"), Named("c")});
  EXPECT_THAT(changes.gone, ElementsAre(0));
  EXPECT_THAT(changes.added, ElementsAre(0));
  EXPECT_EQ(table[1].id, "b");
  EXPECT_EQ(table[0].id, "c");

  free = false;  // Processes are left in what has gone.
  changes = update({Named("d"), Named("e")});
  EXPECT_THAT(changes.gone, ElementsAre(0, 1));
  EXPECT_THAT(changes.added, IsEmpty());
  EXPECT_EQ(changes.unplaced, 2);
  free = true;
  EXPECT_THAT(update({Named("d"), Named("e")}).added, ElementsAre(0, 1));
  EXPECT_EQ(update({Named("d"), Named("e"), Named("f"), Named("g")}).unplaced, 1);
}

class PlacementTest : public ::testing::Test {
 protected:
  void Take(std::vector<mig::Gpu> gpus) {
    const std::vector<Slot> slots = SlotsOf(gpus, {.source = SlotSource::kAuto}).slots;
    (void)table_.Update(slots, [](int) { return true; });
  }
  std::vector<std::string> Leave(std::vector<int> ready, size_t count) {
    std::vector<std::string> names;
    for (const int slot : preference_.ChooseToLeave(ready, count)) {
      names.push_back(table_[static_cast<size_t>(slot)].name);
    }
    return names;
  }

  SlotTable table_{16};
  PlacementPreference preference_{table_};
};

TEST_F(PlacementTest, ThreeOfSevenLeaveRoomForA3g) {
  Take({Sevenths(0)});
  EXPECT_THAT(Leave({0, 1, 2, 3, 4, 5, 6}, 3),
              UnorderedElementsAre("GPU 0 1g.5gb at 4", "GPU 0 1g.5gb at 5", "GPU 0 1g.5gb at 6"));
}

TEST_F(PlacementTest, TheLargestIsTakenFirstAndLeftLast) {
  Take(Mixed());
  const std::vector<int> all = {0, 1, 2, 3, 4, 5, 6, 7};
  EXPECT_EQ(preference_.ChooseToTake(all, {}), 7);  // The whole GPU.
  const std::vector<std::string> left = Leave(all, 7);
  EXPECT_EQ(left.size(), 7u);
  EXPECT_THAT(left, ::testing::Not(::testing::Contains("GPU 1")));
}

TEST_F(PlacementTest, ANewOneGoesWhereLittleRoomIsLost) {
  Take({Sevenths(0), Sevenths(1)});
  // GPU 1 has one replica: GPU 0 stays empty, and of GPU 1 the half that is spoilt is used.
  const std::vector<int> taken = {7 + 5};
  const std::vector<int> free = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13};
  EXPECT_THAT(table_[static_cast<size_t>(preference_.ChooseToTake(free, taken))].name,
              ::testing::AnyOf("GPU 1 1g.5gb at 4", "GPU 1 1g.5gb at 6"));
}

TEST_F(PlacementTest, DevicesOfOneInstanceAreNoSeparateRoom) {
  mig::Gpu gpu = WholeGpu(0);
  Cut(gpu, "3g.20gb", 0, {1, 1, 1});
  Cut(gpu, "3g.20gb", 4);
  Take({gpu});
  EXPECT_EQ(Leave({0, 1, 2, 3}, 2).size(), 2u);
  EXPECT_EQ(Leave({0, 1, 2}, 2).size(), 2u);
  EXPECT_GE(preference_.ChooseToTake(std::vector<int>{1, 2}, std::vector<int>{0}), 1);
}

}  // namespace
}  // namespace tepal::supervisor
