// Tensors on a GPU, and an instance that is not: the host copies. The GPU is pretended; whoever
// touches its memory other than through DeviceMemory crashes.

#include <gmock/gmock.h>

#include "serving/backend/testing/host_fixture.h"

namespace tepal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class PretendedGpu final : public DeviceMemory {
 public:
  static constexpr size_t kSize = 64;

  int64_t device() const override { return 3; }
  Status CopyToHost(const std::byte* from, std::byte* to, size_t size) override {
    if (broken) return Internal("the GPU has fallen off the bus");
    std::memcpy(to, bytes + (from - Address()), size);
    return {};
  }
  Status CopyFromHost(const std::byte* from, std::byte* to, size_t size) override {
    if (broken) return Internal("the GPU has fallen off the bus");
    std::memcpy(bytes + (to - Address()), from, size);
    return {};
  }

  Buffer Memory() { return Buffer::Adopt(Address(), kSize, nullptr, {MemoryKind::kGpu, this}); }

  std::byte bytes[kSize] = {};
  bool broken = false;

 private:
  static std::byte* Address() { return reinterpret_cast<std::byte*>(uintptr_t{0x10000}); }
};

class GpuMemoryTest : public testing::HostFixture {
 protected:
  // {1, 2} at the GPU's eighth byte, asked to come back at its 32nd.
  std::unique_ptr<InferenceRequest> OnGpu() {
    const float values[] = {1, 2};
    std::memcpy(gpu.bytes + 8, values, sizeof(values));
    auto request = Request({{0, 0}});
    request->inputs[0].data = {gpu.Memory().Slice(8, sizeof(values))};
    sink_->GiveMemory(gpu.Memory().Slice(32, 16));
    return request;
  }
  const InferenceResponse& Only() {
    EXPECT_EQ(sink_->responses().size(), 1u);
    return *sink_->responses().at(0);
  }
  std::vector<float> Written() const {
    std::vector<float> values(4);
    std::memcpy(values.data(), gpu.bytes + 32, 16);
    return values;
  }

  PretendedGpu gpu;
};

TEST_F(GpuMemoryTest, IsCopiedForAnInstanceOnTheCpu) {
  auto instance = Instance(testing::Config("identity", 1, {}));
  Execute(*instance, OnGpu());
  ASSERT_TRUE(Only().status.ok()) << Only().status.ToString();
  EXPECT_TRUE(Only().outputs.at(0).data.on_gpu());
  EXPECT_EQ(Only().outputs[0].data.size(), 8u);
  EXPECT_THAT(Written(), ElementsAre(1, 2, 0, 0));
}

TEST_F(GpuMemoryTest, TooLittleOfItIsAnError) {
  auto instance = Instance(testing::Config("identity", 1, {}));
  auto request = OnGpu();
  sink_->GiveMemory(gpu.Memory().Slice(32, 4));
  Execute(*instance, std::move(request));
  EXPECT_THAT(Only().status.message(), HasSubstr("(4 bytes) should be at least 8 bytes"));
  EXPECT_THAT(Written(), ElementsAre(0, 0, 0, 0));
}

TEST_F(GpuMemoryTest, ThatCannotBeCopiedFailsThatRequestAlone) {
  auto instance = Instance(testing::Config("identity", 1, {}));
  auto request = OnGpu();
  gpu.broken = true;
  Execute(*instance, std::move(request));
  EXPECT_EQ(Only().status.ToString(),
            "INTERNAL: reading input 'INPUT0': the GPU has fallen off the bus");
  gpu.broken = false;
  sink_->responses().clear();
  Execute(*instance, OnGpu());
  EXPECT_TRUE(Only().status.ok());
}

// Says "pinned" of ordinary memory.
class PretendedPool final : public SlabSource {
 public:
  Buffer TryAllocate(size_t size, Budget*) override {
    if (size > sizeof(block)) return {};
    return Buffer::Adopt(block, size, nullptr, {MemoryKind::kCpuPinned, nullptr});
  }

 private:
  std::byte block[8];
};

TEST_F(GpuMemoryTest, ResultsOfGpusArePinnedWhereTheyMay) {
  PretendedPool pool;
  const auto place = [&](InstanceGroup::Kind kind, bool wanted, std::vector<float> values) {
    auto config = testing::Config("identity", 1, {});
    config->output_pinned_memory = wanted;
    auto instance = Instance(config, kind, &pool);
    sink_->responses().clear();
    Execute(*instance, Request({values}));
    EXPECT_EQ(Floats(Only().outputs.at(0)), values);
    return Only().outputs[0].data.place().kind;
  };
  using Kind = InstanceGroup::Kind;
  EXPECT_EQ(place(Kind::kGpu, true, {1, 2}), MemoryKind::kCpuPinned);
  EXPECT_EQ(place(Kind::kGpu, false, {1, 2}), MemoryKind::kCpu);
  EXPECT_EQ(place(Kind::kCpu, true, {1, 2}), MemoryKind::kCpu);
  EXPECT_EQ(place(Kind::kGpu, true, {1, 2, 3}), MemoryKind::kCpu) << "the pool has no more";
}

TEST_F(GpuMemoryTest, BusyTimeIsCountedByInstance) {
  auto instance = Instance(testing::Config("identity", 1, {}));
  Execute(*instance, Request({{1, 2}}));
  const ModelStatisticsSnapshot read = statistics_->Read();
  ASSERT_EQ(read.instances.size(), 1u);
  EXPECT_EQ(read.instances[0].name, "m_0_0");
  EXPECT_FALSE(read.instances[0].gpu.has_value());
  EXPECT_EQ(read.instances[0].executions, 1u);
  EXPECT_GT(read.instances[0].busy_ns, 0u);
}

}  // namespace
}  // namespace tepal
