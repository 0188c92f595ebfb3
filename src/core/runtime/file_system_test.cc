#include <gtest/gtest.h>
#include <unistd.h>

#include "core/base/text.h"
#include "core/runtime/runtime.h"

namespace tepal::runtime {
namespace {

TEST(FileSystemTest, ReplacesListsAndRemoves) {
  env::FileSystem& files = SystemFileSystem();
  const std::string folder = Concat(testing::TempDir(), "/file_system_test.", getpid());
  ASSERT_TRUE(files.MakeDirectories(folder + "/inner").ok());
  const std::string path = folder + "/file";
  ASSERT_TRUE(files.Replace(path, "first").ok());
  ASSERT_TRUE(files.Replace(path, std::string(3 << 20, 'x')).ok());
  EXPECT_EQ(files.Read(path).value(), std::string(3 << 20, 'x'));
  EXPECT_EQ(files.Stat(path)->size, 3u << 20);
  const auto entries = files.List(folder);
  ASSERT_TRUE(entries.ok());
  ASSERT_EQ(entries->size(), 2u);  // Nothing left beside.
  EXPECT_EQ((*entries)[0].name, "file");
  EXPECT_FALSE((*entries)[0].is_directory);
  EXPECT_TRUE((*entries)[1].is_directory);
  EXPECT_EQ(files.Read(path, 100).status().code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(files.Remove(path).ok());
  EXPECT_TRUE(files.Remove(folder + "/inner").ok());
  EXPECT_TRUE(files.Remove(folder).ok());
  EXPECT_EQ(files.Read(path).status().ToString(),
            "NOT_FOUND: reading " + path + ": No such file or directory");
}

TEST(FileSystemTest, ReadsFilesThatDoNotSayTheirSize) {
  EXPECT_FALSE(SystemFileSystem().Read("/proc/self/status").value().empty());
  EXPECT_EQ(SystemFileSystem().Read("/proc/self/status", 10).status().code(),
            StatusCode::kResourceExhausted);
  EXPECT_FALSE(SystemFileSystem().Read("/proc").ok());
}

}  // namespace
}  // namespace tepal::runtime
