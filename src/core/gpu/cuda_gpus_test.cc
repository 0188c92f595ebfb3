#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "core/gpu/cuda_api.h"
#include "core/gpu/gpu_metrics.h"
#include "core/gpu/gpus.h"
#include "core/gpu/pinned_pool.h"

namespace tepal::gpu {
namespace {

// What a client of ours does: memory on a fake GPU, exported. See test/fake_cuda.
class CudaGpusTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string problem;
    api = CudaApi::Load(TEPAL_FAKE_CUDA, problem);
    ASSERT_NE(api, nullptr) << problem;
    ASSERT_EQ(api->Init(0), kCudaSuccess);
  }
  void TearDown() override {
    const CudaContextScope scope(*api, nullptr);
    if (allocated != 0) api->MemFree(allocated);
    EXPECT_EQ(Held("fakeCudaOpenHandles"), 0u);
    EXPECT_EQ(Held("fakeCudaPinnedBytes"), 0u);
  }

  std::vector<std::byte> Export(std::string_view text) {
    const CudaContextScope scope(*api, nullptr);
    EXPECT_EQ(api->MemAlloc(&allocated, text.size()), kCudaSuccess);
    EXPECT_EQ(api->MemcpyHtoD(allocated, text.data(), text.size()), kCudaSuccess);
    CudaIpcHandle handle;
    EXPECT_EQ(api->IpcGetMemHandle(&handle, allocated), kCudaSuccess);
    const auto* bytes = reinterpret_cast<const std::byte*>(handle.bytes);
    return {bytes, bytes + sizeof(handle.bytes)};
  }

  static size_t Held(const char* what) {
    void* library = dlopen(TEPAL_FAKE_CUDA, RTLD_NOW);
    return reinterpret_cast<size_t (*)()>(dlsym(library, what))();
  }

  std::unique_ptr<CudaApi> api;
  CudaPointer allocated = 0;
  std::unique_ptr<Gpus> gpus = NewCudaGpus(TEPAL_FAKE_CUDA);
};

TEST_F(CudaGpusTest, ListsDevices) {
  ASSERT_EQ(gpus->devices().size(), 2u) << gpus->why_none();
  EXPECT_EQ(gpus->devices()[1].ordinal, 1);
  EXPECT_EQ(gpus->devices()[1].uuid, "fa000000-0000-0000-0000-000000000001");
  EXPECT_EQ(gpus->devices()[1].name, "Fake GPU");
  EXPECT_EQ(gpus->devices()[1].memory_bytes, size_t{1} << 30);
  EXPECT_EQ(gpus->why_none(), "");
}

TEST_F(CudaGpusTest, ReadsAndWritesWhatAnotherExported) {
  const std::vector<std::byte> handle = Export("tulips");
  Result<Buffer> imported = gpus->Import(1, handle, 6);
  ASSERT_TRUE(imported.ok()) << imported.status().message();
  EXPECT_EQ(imported->place().kind, MemoryKind::kGpu);
  EXPECT_EQ(imported->place().device(), 1);
  EXPECT_EQ(HostCopy(*imported)->text(), "tulips");
  Buffer part = imported->Slice(2, 3);
  ASSERT_TRUE(part.place().gpu->CopyFromHost(Buffer::Copy("XYZ").data(), part.data(), 3).ok());
  EXPECT_EQ(HostCopy(*imported)->text(), "tuXYZs");
  EXPECT_EQ(Held("fakeCudaOpenHandles"), 1u);
  *imported = Buffer();
  EXPECT_EQ(Held("fakeCudaOpenHandles"), 1u) << "closed under a view";
  part = Buffer();
  EXPECT_EQ(Held("fakeCudaOpenHandles"), 0u);
}

TEST_F(CudaGpusTest, RefusesWhatCannotBeOpened) {
  const std::vector<std::byte> handle = Export("tulips");
  const auto error = [&](int64_t device, std::span<const std::byte> of, uint64_t size) {
    return gpus->Import(device, of, size).status().ToString();
  };
  EXPECT_EQ(error(2, handle, 6), "INVALID_ARGUMENT: there is no GPU 2, the GPUs are 0 to 1");
  EXPECT_EQ(error(-1, handle, 6), "INVALID_ARGUMENT: there is no GPU -1, the GPUs are 0 to 1");
  EXPECT_EQ(error(0, std::span(handle).first(63), 6),
            "INVALID_ARGUMENT: a CUDA IPC handle has 64 bytes, got 63");
  EXPECT_EQ(error(0, handle, 7),
            "INVALID_ARGUMENT: the allocation on GPU 0 has 6 bytes, expected at least 7");
  EXPECT_EQ(error(0, std::vector<std::byte>(kIpcHandleSize), 6),
            "INVALID_ARGUMENT: opening a CUDA IPC handle of GPU 0: invalid resource handle (CUDA "
            "error 400)");
}

TEST_F(CudaGpusTest, SaysWhyThereAreNone) {
  const std::unique_ptr<Gpus> none = NewCudaGpus("libno-such-driver.so.1");
  EXPECT_TRUE(none->devices().empty());
  EXPECT_NE(none->why_none().find("libno-such-driver.so.1"), std::string::npos);
  const Status refused = none->Import(0, std::vector<std::byte>(kIpcHandleSize), 6).status();
  EXPECT_EQ(refused.code(), StatusCode::kUnavailable);
  EXPECT_EQ(refused.message(), "no GPU can be used: " + none->why_none());
  EXPECT_EQ(none->AllocatePinned(64).status().code(), StatusCode::kUnavailable);
}

TEST_F(CudaGpusTest, PinsUntilLetGo) {
  std::vector<std::byte> bytes(4096);
  Result<std::unique_ptr<PinnedRange>> pinned = gpus->Pin(bytes);
  ASSERT_TRUE(pinned.ok());
  EXPECT_EQ(Held("fakeCudaPinnedBytes"), 4096u);
  EXPECT_FALSE(gpus->Pin(bytes).ok());
}

TEST_F(CudaGpusTest, PoolGivesBlocksAgain) {
  PinnedPool pool(*gpus, 3 * PinnedPool::kBlockMin);
  EXPECT_EQ(pool.Allocate(80'000).place().kind, MemoryKind::kCpu) << "not in use yet";
  gpus->Use();
  EXPECT_EQ(pool.Allocate(PinnedPool::kBlockMin - 1).place().kind, MemoryKind::kCpu);
  const std::byte* first = nullptr;
  {
    const Buffer block = pool.Allocate(2 * PinnedPool::kBlockMin - kSlabPadding);
    EXPECT_EQ(block.place().kind, MemoryKind::kCpuPinned);
    EXPECT_EQ(block.size(), 2 * PinnedPool::kBlockMin - kSlabPadding);
    EXPECT_EQ(pool.pinned_bytes(), 2 * PinnedPool::kBlockMin);
    first = block.data();
    EXPECT_EQ(pool.Allocate(2 * PinnedPool::kBlockMin - kSlabPadding).place().kind,
              MemoryKind::kCpu)
        << "over the limit";
  }
  EXPECT_EQ(pool.used_bytes(), 0u);
  const Buffer again =
      pool.Allocate(7 * PinnedPool::kBlockMin / 4);  // With padding: the next size.
  EXPECT_EQ(again.data(), first);
  EXPECT_EQ(pool.used_bytes(), 2 * PinnedPool::kBlockMin);
  EXPECT_EQ(Held("fakeCudaPinnedBytes"), 2 * PinnedPool::kBlockMin);
}

TEST_F(CudaGpusTest, PoolGivesSpareBlocksUpForOtherSizes) {
  gpus->Use();
  PinnedPool pool(*gpus, 4 * PinnedPool::kBlockMin);
  EXPECT_EQ(pool.Allocate(3 * PinnedPool::kBlockMin).place().kind, MemoryKind::kCpuPinned);
  EXPECT_EQ(pool.pinned_bytes(), 7 * PinnedPool::kBlockMin / 2);
  const Buffer small = pool.Allocate(PinnedPool::kBlockMin);
  EXPECT_EQ(small.place().kind, MemoryKind::kCpuPinned);
  EXPECT_EQ(Held("fakeCudaPinnedBytes"), 5 * PinnedPool::kBlockMin / 4);
  EXPECT_EQ(pool.pinned_bytes(), 5 * PinnedPool::kBlockMin / 4);
}

TEST_F(CudaGpusTest, PoolKeepsABlockForEverySizeWithinItsLimits) {
  gpus->Use();
  PinnedPool pool(*gpus, uint64_t{1} << 30);
  for (size_t size = PinnedPool::kBlockMin; size <= size_t{64} << 20; size += size / 7 + 1) {
    const Buffer block = pool.Allocate(size);
    const bool fits = size + kSlabPadding <= size_t{64} << 20;
    ASSERT_EQ(block.place().kind == MemoryKind::kCpuPinned, fits) << size;
    if (!fits) continue;
    ASSERT_GE(pool.used_bytes(), size + kSlabPadding);
    ASSERT_LE(pool.used_bytes(), (size + kSlabPadding) * 5 / 4) << size;
  }
  EXPECT_EQ(pool.used_bytes(), 0u);
}

TEST_F(CudaGpusTest, PoolGivesTheBudgetBackWithTheLastView) {
  gpus->Use();
  PinnedPool pool(*gpus, uint64_t{1} << 30);
  Budget budget(100'000);
  ASSERT_TRUE(budget.TryTake(80'000));
  Buffer block = pool.TryAllocate(80'000, &budget);
  const Buffer part = block.Slice(0, 10);
  block = {};
  EXPECT_EQ(budget.used(), 80'000u);
}

TEST_F(CudaGpusTest, PoolMakesDoWhenTheDriverGivesNoMore) {
  setenv("TEPAL_FAKE_PINNED_MAX", "100000", 1);
  PinnedPool pool(*gpus, uint64_t{1} << 30);
  gpus->Use();
  EXPECT_EQ(pool.Allocate(200'000).place().kind, MemoryKind::kCpu);
  unsetenv("TEPAL_FAKE_PINNED_MAX");
  EXPECT_EQ(pool.Allocate(200'000).place().kind, MemoryKind::kCpu) << "asked again";
  EXPECT_EQ(pool.pinned_bytes(), 0u);
}

class ManualClock final : public env::Clock {
 public:
  Instant Now() const override { return now; }
  WallTime WallNow() const override { return {}; }
  Instant now{};
};

TEST_F(CudaGpusTest, WritesTritonsMetrics) {
  ManualClock clock;
  telemetry::MetricsRegistry registry;
  AddGpuMetrics(registry, *gpus, clock, 2s, TEPAL_FAKE_CUDA);
  const std::string page = registry.Text();
  const auto has = [](const std::string& text, const std::string& line) {
    return text.find(line) != std::string::npos;
  };
  const std::string gpu = "{gpu_uuid=\"GPU-fa000000-0000-0000-0000-000000000000\"} ";
  const std::string slice = "{gpu_uuid=\"MIG-fa000000-0000-0000-0000-000000000001\"} ";
  EXPECT_TRUE(has(page, "# TYPE nv_gpu_utilization gauge")) << page;
  EXPECT_TRUE(has(page, "nv_gpu_utilization" + gpu + "0.4")) << page;
  EXPECT_TRUE(has(page, "nv_gpu_memory_total_bytes" + gpu + "1073741824")) << page;
  EXPECT_TRUE(has(page, "nv_gpu_memory_used_bytes" + slice + "4096")) << page;
  EXPECT_TRUE(has(page, "nv_gpu_power_usage" + gpu + "76.5")) << page;
  EXPECT_TRUE(has(page, "nv_gpu_power_limit" + gpu + "700")) << page;
  EXPECT_TRUE(has(page, "# TYPE nv_energy_consumption counter")) << page;
  EXPECT_TRUE(has(page, "nv_energy_consumption" + gpu + "0\n")) << page;
  EXPECT_FALSE(has(page, "nv_gpu_utilization" + slice)) << page;
  EXPECT_FALSE(has(page, "nv_energy_consumption" + slice)) << page;

  clock.now += 1999ms;
  EXPECT_EQ(registry.Text(), page) << "read again within the interval";
  clock.now += 1ms;
  const std::string later = registry.Text();
  EXPECT_TRUE(has(later, "nv_gpu_utilization" + gpu + "0.42")) << later;
  EXPECT_TRUE(has(later, "nv_energy_consumption" + gpu + "3\n")) << later;
}

}  // namespace
}  // namespace tepal::gpu
