// Which sources of values the flags of `tepal metrics-api` ask for.

#pragma once

#include <memory>

#include "apps/commands/metrics_api_flags.h"
#include "core/base/result.h"
#include "core/env/clock.h"
#include "core/env/event_loop.h"
#include "core/env/file_system.h"
#include "core/env/random.h"
#include "network/kube/client.h"
#include "network/net/resolver.h"
#include "scaling/custom_metrics/metric_source.h"

namespace tepal::commands {

// All outlive the source.
struct SourceWorld {
  env::EventLoop& loop;
  env::FileSystem& files;
  const env::Clock& clock;
  net::Resolver& resolver;
  env::Random& random;
  kube::Client& client;
  const custom_metrics::KindTable& kinds;
};

// Where the values of a program come from.
struct SourceMaker {
  // Before anything is begun: kInvalidArgument when the flags name no source, or one that cannot
  // be.
  Status (*check)(const MetricsApiFlags& flags);
  Result<std::unique_ptr<custom_metrics::MetricSource>> (*make)(const SourceWorld& world,
                                                                const MetricsApiFlags& flags);
};

// `tepal metrics-api`'s own.
Status CheckSource(const MetricsApiFlags& flags);
Result<std::unique_ptr<custom_metrics::MetricSource>> MakeSource(const SourceWorld& world,
                                                                 const MetricsApiFlags& flags);

}  // namespace tepal::commands
