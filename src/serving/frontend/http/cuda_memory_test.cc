// The routes of CUDA shared memory, on a pretended GPU.

#include <gtest/gtest.h>

#include "serving/frontend/http/shared_memory_routes.h"
#include "sim/simulated_shared_memory.h"

namespace tepal {
namespace {

class PretendedGpus final : public gpu::Gpus {
 public:
  const std::vector<gpu::GpuDevice>& devices() override { return devices_; }
  const std::string& why_none() override { return why_none_; }
  Result<Buffer> Import(int64_t device, std::span<const std::byte> handle, uint64_t size) override {
    if (device != 1) return InvalidArgument("there is no such GPU");
    imported.assign(handle.begin(), handle.end());
    return Buffer::Allocate(size);
  }
  Result<std::unique_ptr<gpu::PinnedRange>> Pin(std::span<std::byte>) override {
    return Unavailable("not here");
  }
  Result<Buffer> AllocatePinned(size_t) override { return Unavailable("not here"); }

  std::vector<std::byte> imported;

 private:
  std::vector<gpu::GpuDevice> devices_;
  std::string why_none_;
};

class CudaMemoryRoutesTest : public ::testing::Test {
 protected:
  std::string Ask(Route::Kind kind, const std::string& region, std::string_view body = {}) {
    Route route;
    route.kind = kind;
    route.region = region;
    route.cuda = true;
    const Result<std::string> answer = AnswerSharedMemory(&regions, route, body);
    return answer.ok() ? *answer : answer.status().ToString();
  }
  std::string Register(const std::string& rest) {
    return Ask(Route::Kind::kSharedMemoryRegister, "g",
               R"({"raw_handle":{"b64":")" + handle + R"("})" + rest + "}");
  }

  // The bytes 0 to 63.
  const std::string handle =
      "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";
  sim::SimulatedSharedMemory files;
  PretendedGpus gpus;
  SharedMemoryRegions regions{files, &gpus};
};

TEST_F(CudaMemoryRoutesTest, ComesAndGoes) {
  EXPECT_EQ(Register(R"(,"device_id":1,"byte_size":32)"), "");
  ASSERT_EQ(gpus.imported.size(), gpu::kIpcHandleSize);
  for (size_t i = 0; i < gpus.imported.size(); ++i) {
    EXPECT_EQ(gpus.imported[i], static_cast<std::byte>(i)) << i;
  }
  const std::string listed = R"([{"name":"g","device_id":1,"byte_size":32}])";
  EXPECT_EQ(Ask(Route::Kind::kSharedMemoryStatus, ""), listed);
  EXPECT_EQ(Ask(Route::Kind::kSharedMemoryStatus, "g"), listed);
  EXPECT_EQ(Register(R"(,"device_id":1,"byte_size":32)"),
            "ALREADY_EXISTS: shared memory region 'g' already in manager");
  EXPECT_EQ(Ask(Route::Kind::kSharedMemoryUnregister, "g"), "");
  EXPECT_EQ(Ask(Route::Kind::kSharedMemoryStatus, ""), "[]");
  EXPECT_EQ(Ask(Route::Kind::kSharedMemoryStatus, "g"),
            "NOT_FOUND: Unable to find cuda shared memory region: 'g'");
}

TEST_F(CudaMemoryRoutesTest, NamesWhatIsMissingOrWrong) {
  EXPECT_EQ(Register(R"(,"device_id":1)"),
            "INVALID_ARGUMENT: Shared memory register request has no 'byte_size' field");
  EXPECT_EQ(Register(R"(,"byte_size":32)"),
            "INVALID_ARGUMENT: Shared memory register request has no 'device_id' field");
  EXPECT_EQ(Register(R"(,"device_id":-1,"byte_size":32)"),
            "INVALID_ARGUMENT: attempt to access JSON non-unsigned-integer as unsigned-integer");
  EXPECT_EQ(Register(R"(,"device_id":0,"byte_size":32)"),
            "INVALID_ARGUMENT: failed to register CUDA shared memory region 'g': there is no such "
            "GPU");
}

}  // namespace
}  // namespace tepal
