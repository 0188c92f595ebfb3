#include "apps/commands/metrics_api_sources.h"

#include "apps/commands/cluster_access_files.h"
#include "core/telemetry/log.h"

namespace tepal::commands {

Status CheckSource(const MetricsApiFlags& flags) {
  if (flags.sources.wants_prometheus() || flags.sources.wants_scraping()) return {};
  return InvalidArgument(
      "there is no source of values: give --prometheus-url and --config (prometheus-adapter's "
      "rules "
      "file), or --scrape-selector, or both");
}

Result<std::unique_ptr<custom_metrics::MetricSource>> MakeSource(const SourceWorld& world,
                                                                 const MetricsApiFlags& flags) {
  custom_metrics::SourceFlags sources = flags.sources;
  if (flags.prometheus_auth_in_cluster) {
    ASSIGN_OR_RETURN(sources.prometheus_auth, ReadClusterAccess(""));
  }
  std::vector<std::string> notes;
  auto made = custom_metrics::NewSources(sources,
                                         {world.loop, world.files, world.clock, world.resolver,
                                          world.random, &world.client, world.kinds},
                                         &notes);
  for (const std::string& note : notes) telemetry::LogWarning(note);
  return made;
}

}  // namespace tepal::commands
