#include "scaling/custom_metrics/source_flags.h"

#include <gtest/gtest.h>

#include "scaling/custom_metrics/testing/fake_http.h"
#include "sim/world.h"

namespace tepal::custom_metrics {
namespace {

Status Parse(std::vector<std::string_view> words, SourceFlags& values) {
  options::FlagSet flags("test [FLAGS]", "A test.");
  AddPrometheusFlags(flags, &values);
  AddScrapeFlags(flags, &values);
  return flags.Parse(words).status();
}

TEST(SourceFlags, AreRead) {
  SourceFlags values;
  const Status parsed =
      Parse({"--prometheus-url=http://p:9090", "--config=r.yaml", "--prometheus-header=a=b",
             "--metrics-relist-interval", "30s", "--scrape-selector=app=flower",
             "--scrape-namespace=a", "--scrape-namespace=b", "--scrape-port=metrics"},
            values);
  ASSERT_TRUE(parsed.ok()) << parsed.ToString();
  EXPECT_TRUE(values.wants_prometheus() && values.wants_scraping());
  EXPECT_EQ(values.relist_interval, 30s);
  EXPECT_EQ(values.scrape_namespaces, (std::vector<std::string>{"a", "b"}));
}

TEST(SourceFlags, AreRefusedByName) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"--prometheus-verb=PUT", "prometheus-verb"},
      {"--scrape-interval=10ms", "scrape-interval"},
      {"--scrape-missed-max=0", "scrape-missed-max"},
      {"--scrape-utilization=0", "scrape-utilization"},
      {"--scrape-load-window=1s", "scrape-load-window"},
      {"--scrape-path=metrics", "scrape-path"},
      {"--scrape-selector==x", "--scrape-selector"},
  };
  for (const auto& [word, name] : cases) {
    SourceFlags values;
    const Status parsed = Parse({word}, values);
    ASSERT_FALSE(parsed.ok()) << word;
    EXPECT_NE(parsed.message().find(name), std::string::npos) << parsed.message();
  }
}

struct Made {
  Result<std::unique_ptr<MetricSource>> From(const SourceFlags& flags) {
    return NewSources(flags, {loop, files, world.clock(), resolver, world.random(), nullptr, kinds},
                      &notes);
  }
  sim::World world{1};
  env::EventLoop& loop = world.AddLoop();
  testing::NoFiles files;
  testing::OneAddress resolver{{env::Address::Family::kIp4, "10.0.0.9", 9090}};
  KindTable kinds;
  std::vector<std::string> notes;
};

TEST(SourceFlags, MakeSources) {
  Made made;
  SourceFlags flags;
  EXPECT_EQ(made.From(flags).status().code(), StatusCode::kInvalidArgument);
  flags.prometheus_url = "http://p:9090";
  EXPECT_NE(made.From(flags).status().message().find("--config"), std::string::npos);
  flags.config = "missing.yaml";
  EXPECT_NE(made.From(flags).status().message().find("missing.yaml"), std::string::npos);
  flags = SourceFlags{};
  flags.scrape_targets = {"default/a=127.0.0.1:8002"};
  const auto direct = made.From(flags);
  ASSERT_TRUE(direct.ok()) << direct.status().ToString();
  EXPECT_FALSE((*direct)->ObjectMetrics().empty());
  flags.scrape_selector = "app=x";
  EXPECT_NE(made.From(flags).status().message().find("API server"), std::string::npos);
}

}  // namespace
}  // namespace tepal::custom_metrics
