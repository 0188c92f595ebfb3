#include "apps/commands/metrics_api_sources.h"

namespace tepal::commands {

Status CheckSource(const MetricsApiFlags& flags) {
  if (!flags.prometheus.config.empty() || !flags.scrape.selector.empty()) return {};
  return InvalidArgument(
      "there is no source of values: give --prometheus-url and --config (prometheus-adapter's "
      "rules "
      "file), or --scrape-selector, or both");
}

Result<std::unique_ptr<custom_metrics::MetricSource>> MakeSource(const SourceWorld&,
                                                                 const MetricsApiFlags&) {
  return Unimplemented("this build has no source of values");
}

}  // namespace tepal::commands
