#include "serving/shared_memory/shared_memory_regions.h"

#include <gtest/gtest.h>

#include "sim/simulated_shared_memory.h"

namespace tepal {
namespace {

// Device 0, which has one exported allocation: 64 bytes whose handle is all zeros.
class FakeGpus final : public gpu::Gpus {
 public:
  const std::vector<gpu::GpuDevice>& devices() override { return devices_; }
  const std::string& why_none() override { return why_none_; }
  Result<Buffer> Import(int64_t device, std::span<const std::byte> handle, uint64_t size) override {
    if (device != 0 || handle.size() != gpu::kIpcHandleSize || size > 64) {
      return InvalidArgument("fake refusal");
    }
    ++imported;
    return Buffer::Adopt(address, size, [this](std::byte*) { --imported; },
                         {MemoryKind::kGpu, &memory_});
  }
  Result<std::unique_ptr<gpu::PinnedRange>> Pin(std::span<std::byte> bytes) override {
    if (bytes.size() < 16) return Unavailable("fake refusal");
    return std::unique_ptr<gpu::PinnedRange>(std::make_unique<Pinned>(*this));
  }
  Result<Buffer> AllocatePinned(size_t) override { return Unavailable("fake refusal"); }

  std::byte* address = reinterpret_cast<std::byte*>(uintptr_t{0x10000});  // Not to be touched.
  int imported = 0;
  int pinned = 0;

 private:
  struct Pinned final : gpu::PinnedRange {
    explicit Pinned(FakeGpus& owner) : gpus(owner) { ++gpus.pinned; }
    ~Pinned() override { --gpus.pinned; }
    FakeGpus& gpus;
  };
  struct Memory final : DeviceMemory {
    int64_t device() const override { return 0; }
    Status CopyToHost(const std::byte*, std::byte*, size_t) override { return Internal("fake"); }
    Status CopyFromHost(const std::byte*, std::byte*, size_t) override { return Internal("fake"); }
  };
  std::vector<gpu::GpuDevice> devices_{{0, "uuid", "fake", 64}};
  std::string why_none_;
  Memory memory_;
};

class SharedMemoryRegionsTest : public ::testing::Test {
 protected:
  std::string Error(uint64_t offset, uint64_t size) {
    return regions.Memory("r", offset, size).status().ToString();
  }

  sim::SimulatedSharedMemory files;
  std::vector<std::byte>& object = files.objects.try_emplace("/there", 64).first->second;
  FakeGpus gpus;
  SharedMemoryRegions regions{files, &gpus};
  const std::vector<std::byte> handle{gpu::kIpcHandleSize};
};

TEST_F(SharedMemoryRegionsTest, ViewsAreOfTheClientsOwnBytes) {
  ASSERT_TRUE(regions.Register({"r", "/there", 16, 32}).ok());
  Result<Buffer> view = regions.Memory("r", 8, 4);
  ASSERT_TRUE(view.ok()) << view.status().message();
  EXPECT_EQ(view->data(), object.data() + 24);
  EXPECT_EQ(view->size(), 4u);
}

TEST_F(SharedMemoryRegionsTest, AViewOutlivesItsRegistration) {
  ASSERT_TRUE(regions.Register({"r", "/there", 0, 32}).ok());
  ASSERT_TRUE(regions.Register({"s", "/there", 32, 32}).ok());
  {
    const Result<Buffer> view = regions.Memory("r", 0, 4);
    regions.Unregister("r");
    regions.Unregister("never was");
    EXPECT_EQ(files.mapped, 2);
    EXPECT_FALSE(regions.Memory("r", 0, 4).ok());
    regions.UnregisterAll();
    EXPECT_EQ(files.mapped, 1);
    EXPECT_TRUE(regions.All().empty());
  }
  EXPECT_EQ(files.mapped, 0);
  EXPECT_TRUE(regions.Register({"r", "/there", 0, 32}).ok());
}

TEST_F(SharedMemoryRegionsTest, ListsByName) {
  ASSERT_TRUE(regions.Register({"s", "/there", 16, 8}).ok());
  ASSERT_TRUE(regions.Register({"r", "/there", 0, 32}).ok());
  const auto all = regions.All();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].name, "r");
  EXPECT_EQ(regions.Find("s")->offset, 16u);
  EXPECT_EQ(regions.Find("x").status().ToString(),
            "NOT_FOUND: Unable to find system shared memory region: 'x'");
}

TEST_F(SharedMemoryRegionsTest, RefusesInTritonsWords) {
  EXPECT_EQ(regions.Register({"r", "/nope", 0, 4}).ToString(),
            "INTERNAL: Unable to open shared memory region: '/nope'");
  EXPECT_EQ(regions.Register({"r", "/there", 32, 33}).ToString(),
            "INVALID_ARGUMENT: failed to register shared memory region 'r': invalid args");
  EXPECT_EQ(Error(0, 4), "NOT_FOUND: Unable to find shared memory region: 'r'");
  ASSERT_TRUE(regions.Register({"r", "/there", 0, 32}).ok());
  EXPECT_EQ(regions.Register({"r", "/there", 0, 32}).ToString(),
            "ALREADY_EXISTS: shared memory region 'r' already in manager");
  EXPECT_EQ(files.mapped, 1);
  EXPECT_EQ(Error(32, 1), "INVALID_ARGUMENT: Invalid offset for shared memory region: 'r'");
  const std::string beyond =
      "INVALID_ARGUMENT: Invalid offset + byte size for shared memory region: 'r'";
  EXPECT_EQ(Error(31, 2), beyond);
  EXPECT_EQ(Error(0, 0), beyond);
  EXPECT_EQ(Error(16, UINT64_MAX), beyond);
  EXPECT_TRUE(regions.Memory("r", 0, 32).ok());
  EXPECT_TRUE(regions.Memory("r", 31, 1).ok());
}

TEST_F(SharedMemoryRegionsTest, CudaRegionsAreViewsOfTheGpu) {
  ASSERT_TRUE(regions.RegisterCuda({"g", 0, 48}, handle).ok());
  {
    const Result<Buffer> view = regions.Memory("g", 8, 40);
    ASSERT_TRUE(view.ok()) << view.status().message();
    EXPECT_EQ(view->data(), gpus.address + 8);
    EXPECT_TRUE(view->on_gpu());
    regions.UnregisterCuda("g");
    EXPECT_EQ(gpus.imported, 1);
  }
  EXPECT_EQ(gpus.imported, 0);
}

TEST_F(SharedMemoryRegionsTest, KindsShareNamesAndNothingElse) {
  ASSERT_TRUE(regions.RegisterCuda({"g", 0, 48}, handle).ok());
  ASSERT_TRUE(regions.Register({"s", "/there", 0, 16}).ok());
  EXPECT_EQ(regions.Register({"g", "/there", 0, 16}).ToString(),
            "ALREADY_EXISTS: shared memory region 'g' already in manager");
  EXPECT_EQ(regions.RegisterCuda({"s", 0, 48}, handle).ToString(),
            "ALREADY_EXISTS: shared memory region 's' already in manager");
  ASSERT_EQ(regions.AllCuda().size(), 1u);
  EXPECT_EQ(regions.AllCuda()[0].name, "g");
  EXPECT_EQ(regions.FindCuda("g")->byte_size, 48u);
  ASSERT_EQ(regions.All().size(), 1u);
  EXPECT_EQ(regions.Find("g").status().ToString(),
            "NOT_FOUND: Unable to find system shared memory region: 'g'");
  EXPECT_EQ(regions.FindCuda("s").status().ToString(),
            "NOT_FOUND: Unable to find cuda shared memory region: 's'");
  regions.Unregister("g");
  regions.UnregisterAll();
  EXPECT_EQ(regions.AllCuda().size(), 1u);
  EXPECT_EQ(regions.All().size(), 0u);
  EXPECT_EQ(files.mapped, 0);
  regions.UnregisterAllCuda();
  EXPECT_EQ(gpus.imported, 0);
}

TEST_F(SharedMemoryRegionsTest, RefusesCudaMemoryItCannotOpen) {
  EXPECT_EQ(regions.RegisterCuda({"g", 1, 48}, handle).ToString(),
            "INVALID_ARGUMENT: failed to register CUDA shared memory region 'g': fake refusal");
  EXPECT_EQ(regions.RegisterCuda({"g", 0, 0}, handle).ToString(),
            "INVALID_ARGUMENT: failed to register CUDA shared memory region 'g': byte_size must "
            "not be 0");
  SharedMemoryRegions without(files);
  EXPECT_EQ(without.RegisterCuda({"g", 0, 48}, handle).ToString(),
            "UNAVAILABLE: failed to register CUDA shared memory region 'g': this server uses no "
            "GPU");
}

TEST_F(SharedMemoryRegionsTest, PinsWhatIsRegisteredWhileAGpuIsInUse) {
  ASSERT_TRUE(regions.Register({"before", "/there", 0, 16}).ok());
  EXPECT_EQ(regions.Memory("before", 0, 16)->place().kind, MemoryKind::kCpu);
  gpus.Use();
  ASSERT_TRUE(regions.Register({"after", "/there", 16, 32}).ok());
  EXPECT_EQ(regions.Memory("after", 0, 16)->place().kind, MemoryKind::kCpuPinned);
  EXPECT_EQ(gpus.pinned, 1);
  ASSERT_TRUE(regions.Register({"refused", "/there", 0, 8}).ok());
  EXPECT_EQ(regions.Memory("refused", 0, 8)->place().kind, MemoryKind::kCpu);
  regions.UnregisterAll();
  EXPECT_EQ(gpus.pinned, 0);
}

}  // namespace
}  // namespace tepal
