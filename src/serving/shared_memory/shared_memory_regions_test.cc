#include "serving/shared_memory/shared_memory_regions.h"

#include <gtest/gtest.h>

#include <array>

namespace tepal {
namespace {

// One object, "/there", of 64 bytes.
class FakeFiles final : public env::SharedMemoryFiles {
 public:
  Result<std::unique_ptr<env::SharedMapping>> Map(const std::string& key, uint64_t offset,
                                                  uint64_t size) override {
    if (key != "/there") return NotFound("fake");
    if (offset + size > object.size()) return Status(StatusCode::kOutOfRange, "fake");
    return std::unique_ptr<env::SharedMapping>(
        std::make_unique<Mapping>(*this, std::span(object).subspan(offset, size)));
  }

  std::array<std::byte, 64> object{};
  int mapped = 0;

 private:
  class Mapping final : public env::SharedMapping {
   public:
    Mapping(FakeFiles& files, std::span<std::byte> bytes) : files_(files), bytes_(bytes) {
      ++files_.mapped;
    }
    ~Mapping() override { --files_.mapped; }
    std::span<std::byte> bytes() override { return bytes_; }

   private:
    FakeFiles& files_;
    std::span<std::byte> bytes_;
  };
};

class SharedMemoryRegionsTest : public ::testing::Test {
 protected:
  std::string Error(uint64_t offset, uint64_t size) {
    return regions.Memory("r", offset, size).status().ToString();
  }

  FakeFiles files;
  SharedMemoryRegions regions{files};
};

TEST_F(SharedMemoryRegionsTest, ViewsAreOfTheClientsOwnBytes) {
  ASSERT_TRUE(regions.Register({"r", "/there", 16, 32}).ok());
  Result<Buffer> view = regions.Memory("r", 8, 4);
  ASSERT_TRUE(view.ok()) << view.status().message();
  EXPECT_EQ(view->data(), files.object.data() + 24);
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

}  // namespace
}  // namespace tepal
