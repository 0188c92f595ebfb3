#include "core/env/shared_memory_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "core/runtime/runtime.h"
#include "core/runtime/unique_fd.h"

namespace tepal::runtime {
namespace {

class SharedMemoryFilesTest : public ::testing::Test {
 protected:
  SharedMemoryFilesTest() {
    EXPECT_TRUE(object_.valid());
    EXPECT_EQ(ftruncate(object_.get(), 10'000), 0);
    EXPECT_EQ(pwrite(object_.get(), "tensor", 6, 5000), 6);
  }
  ~SharedMemoryFilesTest() override { shm_unlink(key_.c_str()); }

  const std::string key_ = "/tepal_test_" + std::to_string(getpid());
  UniqueFd object_{shm_open(key_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
};

TEST_F(SharedMemoryFilesTest, MapsAnyPartForBothSides) {
  auto mapping = SystemSharedMemory().Map(key_, 5000, 5000);
  ASSERT_TRUE(mapping.ok()) << mapping.status().message();
  const std::span<std::byte> bytes = (*mapping)->bytes();
  ASSERT_EQ(bytes.size(), 5000u);
  EXPECT_EQ(std::memcmp(bytes.data(), "tensor", 6), 0);
  bytes[4999] = std::byte{'!'};
  char last = 0;
  EXPECT_EQ(pread(object_.get(), &last, 1, 9999), 1);
  EXPECT_EQ(last, '!');
}

TEST_F(SharedMemoryFilesTest, RefusesWhatIsNotThere) {
  const auto code = [](const std::string& key, uint64_t offset, uint64_t size) {
    return SystemSharedMemory().Map(key, offset, size).status().code();
  };
  EXPECT_EQ(code(key_ + "_not", 0, 1), StatusCode::kNotFound);
  EXPECT_EQ(code("", 0, 1), StatusCode::kNotFound);
  EXPECT_EQ(code(key_, 0, 10'001), StatusCode::kOutOfRange);
  EXPECT_EQ(code(key_, 10'000, 1), StatusCode::kOutOfRange);
  EXPECT_EQ(code(key_, 0, 0), StatusCode::kOutOfRange);
  EXPECT_EQ(code(key_, UINT64_MAX - 1, 4), StatusCode::kOutOfRange);
  EXPECT_EQ(code(key_, 4, UINT64_MAX - 1), StatusCode::kOutOfRange);
}

TEST_F(SharedMemoryFilesTest, MakesObjectsThatGoWithTheirMapping) {
  const std::string key = key_ + "_made";
  auto made = SystemSharedMemory().Create(key, 100);
  ASSERT_TRUE(made.ok()) << made.status().message();
  EXPECT_EQ((*made)->bytes().size(), 100u);
  EXPECT_EQ(SystemSharedMemory().Create(key, 100).status().code(), StatusCode::kAlreadyExists);
  auto mapped = SystemSharedMemory().Map(key, 50, 50);
  ASSERT_TRUE(mapped.ok()) << mapped.status().message();
  EXPECT_EQ((*mapped)->bytes()[0], std::byte{0});
  (*made)->bytes()[50] = std::byte{7};
  EXPECT_EQ((*mapped)->bytes()[0], std::byte{7});

  made->reset();
  EXPECT_EQ(SystemSharedMemory().Map(key, 0, 1).status().code(), StatusCode::kNotFound);
  EXPECT_EQ((*mapped)->bytes()[0], std::byte{7});
}

TEST_F(SharedMemoryFilesTest, LeavesNothingBehindWhenMakingFails) {
  const std::string key = key_ + "_failed";
  EXPECT_FALSE(SystemSharedMemory().Create(key, 0).ok());
  EXPECT_EQ(SystemSharedMemory().Map(key, 0, 1).status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace tepal::runtime
