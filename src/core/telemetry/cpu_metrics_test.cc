#include "core/telemetry/cpu_metrics.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace tepal::telemetry {
namespace {

TEST(CpuMetrics, ReadsWhatTheKernelWrites) {
  const auto ticks = ParseProcStat("cpu  10 1 20 100 5 2 3 4 9 9\ncpu0 1 2 3 4\nintr 5\n");
  ASSERT_TRUE(ticks.has_value());
  EXPECT_EQ(ticks->total, 145u);
  EXPECT_EQ(ticks->busy, 40u);
  for (const char* bad : {"", "cpu", "cpu 1 2 3", "cpu0 1 2 3 4", "cpu 1 2 x 4", "cpu -1 2 3 4"}) {
    EXPECT_FALSE(ParseProcStat(bad).has_value()) << bad;
  }
  const auto memory =
      ParseMemInfo("MemTotal:       100 kB\nMemFree: 1 kB\nMemAvailable:    40 kB\n");
  ASSERT_TRUE(memory.has_value());
  EXPECT_EQ(memory->total, 102400u);
  EXPECT_EQ(memory->available, 40960u);
  for (const char* bad : {"", "MemTotal: 1 kB", "MemTotal: 1 kB\nMemAvailable: 2 kB"}) {
    EXPECT_FALSE(ParseMemInfo(bad).has_value()) << bad;
  }
}

class FakeFiles final : public env::FileSystem {
 public:
  Result<std::string> Read(const std::string& path, uint64_t) override {
    ++reads;
    const auto found = files.find(path);
    if (found == files.end()) return NotFound(path);
    return found->second;
  }
  Result<std::vector<Entry>> List(const std::string& path) override { return NotFound(path); }
  Result<Facts> Stat(const std::string& path) override { return NotFound(path); }
  Status Replace(const std::string& path, std::string_view) override { return NotFound(path); }
  Status MakeDirectories(const std::string& path) override { return NotFound(path); }
  Status Remove(const std::string& path) override { return NotFound(path); }

  std::map<std::string, std::string> files;
  int reads = 0;
};

class FakeClock final : public env::Clock {
 public:
  Instant Now() const override { return now; }
  WallTime WallNow() const override { return {}; }

  Instant now{10s};
};

TEST(CpuMetrics, UtilizationIsThatOfTheLastInterval) {
  FakeFiles files;
  FakeClock clock;
  files.files["/proc/stat"] = "cpu 100 0 0 100\n";
  MetricsRegistry registry;
  AddCpuMetrics(registry, files, clock, 2s);
  EXPECT_EQ(registry.Text(),
            "# HELP nv_cpu_utilization CPU utilization rate [0.0 - 1.0]\n"
            "# TYPE nv_cpu_utilization gauge\nnv_cpu_utilization 0\n");
  files.files["/proc/stat"] = "cpu 130 0 0 110\n";
  files.files["/proc/meminfo"] = "MemTotal: 100 kB\nMemAvailable: 40 kB\n";
  clock.now += 1s;
  const int reads = files.reads;
  EXPECT_NE(registry.Text().find("nv_cpu_utilization 0\n"), std::string::npos);
  EXPECT_EQ(files.reads, reads);
  clock.now += 1s;
  const std::string page = registry.Text();
  EXPECT_NE(page.find("nv_cpu_utilization 0.75\n"), std::string::npos) << page;
  EXPECT_NE(page.find("nv_cpu_memory_total_bytes 102400\n"), std::string::npos) << page;
  EXPECT_NE(page.find("nv_cpu_memory_used_bytes 61440\n"), std::string::npos) << page;
}

}  // namespace
}  // namespace tepal::telemetry
