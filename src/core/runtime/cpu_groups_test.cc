#include "core/runtime/cpu_groups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "core/runtime/bind.h"

namespace tepal::runtime {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kMountsV1 =
    "31 25 0:26 / /sys/fs/cgroup/systemd rw,nosuid shared:6 - cgroup cgroup rw,name=systemd\n"
    "32 25 0:27 / /sys/fs/cgroup/cpuset rw shared:7 - cgroup cgroup rw,cpuset\n"
    "33 25 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:8 - cgroup cgroup rw,cpu,cpuacct\n"
    "34 25 0:29 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw\n";
constexpr std::string_view kMountsV2 =
    "35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

TEST(CpuHierarchy, FindsVersion1BesideAnEmptyVersion2) {
  const auto found = FindCpuHierarchy(kMountsV1, "4:cpu,cpuacct:/user/a\n3:cpuset:/b\n0::/c\n");
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->version, 1);
  EXPECT_EQ(found->directory, "/sys/fs/cgroup/cpu,cpuacct/user/a");
}

TEST(CpuHierarchy, FindsVersion2) {
  const auto found = FindCpuHierarchy(kMountsV2, "0::/user.slice/session-2.scope\n");
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->version, 2);
  EXPECT_EQ(found->directory, "/sys/fs/cgroup/user.slice/session-2.scope");
}

TEST(CpuHierarchy, MapsPathsOfAContainer) {
  constexpr std::string_view kBound =
      "40 30 0:28 /docker/7f /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
  EXPECT_EQ(FindCpuHierarchy(kBound, "4:cpu:/docker/7f\n")->directory, "/sys/fs/cgroup/cpu");
  EXPECT_EQ(FindCpuHierarchy(kBound, "4:cpu:/docker/7f/x\n")->directory, "/sys/fs/cgroup/cpu/x");
  EXPECT_EQ(FindCpuHierarchy(kBound, "4:cpu:/elsewhere\n")->directory, "/sys/fs/cgroup/cpu");
}

TEST(CpuHierarchy, NothingMountedIsNothing) {
  EXPECT_EQ(FindCpuHierarchy("", "0::/\n"), std::nullopt);
  EXPECT_EQ(FindCpuHierarchy("25 1 0:23 / / rw - ext4 /dev/sda rw\n", "0::/\n"), std::nullopt);
  EXPECT_EQ(FindCpuHierarchy("- cgroup2\n", "0::/\n"), std::nullopt);
}

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

TEST(CpuGroups, GivesAQuotaAndLeavesNothing) {
  auto groups = OpenCpuGroups();
  if (!groups.ok()) GTEST_SKIP() << groups.status().ToString();
  const std::string described = (*groups)->Describe();
  const auto group = (*groups)->Create("slot-0", 0.2);
  ASSERT_TRUE(group.ok()) << group.status().ToString();
  if (described.starts_with("cgroup v2")) {
    EXPECT_EQ(FirstLine(*group + "/cpu.max"), "4000 20000");
  } else {
    EXPECT_EQ(FirstLine(*group + "/cpu.cfs_quota_us"), "4000");
    EXPECT_EQ(FirstLine(*group + "/cpu.cfs_period_us"), "20000");
  }
  EXPECT_THAT((*groups)->Create("slot-0", 0.2).status().message(), HasSubstr("slot-0"));
  // Too small for the usual period: the period grows instead.
  const auto tiny = (*groups)->Create("slot-1", 0.01);
  ASSERT_TRUE(tiny.ok()) << tiny.status().ToString();
  const std::string directory = group->substr(0, group->rfind('/'));
  struct stat facts;
  EXPECT_EQ(stat(directory.c_str(), &facts), 0);
  groups = NotFound("closed");
  EXPECT_NE(stat(directory.c_str(), &facts), 0);
}

TEST(BindListener, GivesAPortAndKeepsIt) {
  const env::Address any{env::Address::Family::kIp4, "127.0.0.1", 0};
  const auto first = BindListener(any);
  ASSERT_TRUE(first.ok()) << first.status().ToString();
  EXPECT_GT((*first)->address().port, 0);
  EXPECT_EQ(BindListener((*first)->address()).status().code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(BindListener({env::Address::Family::kUnix, "/run/x", 0}).status().code(),
            StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace tepal::runtime
