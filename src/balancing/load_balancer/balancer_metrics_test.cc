#include "balancing/load_balancer/balancer_metrics.h"

#include <gtest/gtest.h>

#include "core/base/testing/repository_file.h"
#include "core/base/text.h"

namespace tepal::lb {
namespace {

// A pool with one endpoint.
std::string Page() {
  BalancerState state;
  state.upstream = "u";
  state.endpoints.emplace_back();
  state.endpoints[0].status.traffic = std::make_shared<EndpointTraffic>();
  telemetry::PrometheusWriter writer;
  WriteMetrics({state}, writer);
  return writer.Take();
}

TEST(BalancerMetricsTest, EveryMetricIsDocumentedWithItsKind) {
  const std::string documentation = ReadRepositoryFile("docs/balancer-metrics.md");
  ASSERT_FALSE(documentation.empty()) << "docs/balancer-metrics.md cannot be read";
  const std::string page = Page();
  int metrics = 0;
  for (const std::string_view line : Split(page, '\n')) {
    constexpr std::string_view kType = "# TYPE ";
    if (!line.starts_with(kType)) continue;
    const std::vector<std::string_view> words = Split(line.substr(kType.size()), ' ');
    ASSERT_EQ(words.size(), 2u) << line;
    ++metrics;
    const std::string row = Concat("| `", words[0], "` | ", words[1], " | ");
    EXPECT_NE(documentation.find(row), std::string::npos)
        << "docs/balancer-metrics.md has no row that begins: " << row;
  }
  EXPECT_GT(metrics, 25);
}

TEST(BalancerMetricsTest, EverySampleHasItsPool) {
  const std::string page = Page();
  for (const std::string_view line : Split(page, '\n')) {
    if (line.empty() || line.starts_with('#')) continue;
    EXPECT_NE(line.find("upstream=\"u\""), std::string_view::npos) << line;
  }
}

}  // namespace
}  // namespace tepal::lb
