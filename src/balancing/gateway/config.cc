#include "balancing/gateway/config.h"

#include "core/base/text.h"
#include "core/options/values.h"

namespace tepal::gateway {

std::optional<env::Address> NumericAddress(const net::HostPort& host) {
  using Family = env::Address::Family;
  if (host.host.starts_with("unix:")) return env::Address{Family::kUnix, host.host.substr(5), 0};
  const bool ip6 = host.host.find(':') != std::string::npos;
  if (!ip6 && host.host.find_first_not_of("0123456789.") != std::string::npos) return std::nullopt;
  return env::Address{ip6 ? Family::kIp6 : Family::kIp4, host.host, host.port};
}

bool ParseHedgeAfter(std::string_view text, lb::Hedging::Options& hedging) {
  constexpr double kLeast = 50, kMost = 99.9;
  hedging.quantile = 0;
  hedging.after = Duration(0);
  if (text == "off") return true;
  if (text.starts_with('p')) {
    const double percentile = ParseNumber<double>(text.substr(1)).value_or(0);
    hedging.quantile = percentile / 100;
    return percentile >= kLeast && percentile <= kMost;
  }
  hedging.after = options::ParseDuration(text).value_or(Duration(0));
  return hedging.after > Duration(0);
}

std::string FleetAddress::ToString() const {
  const bool ip6 = host.host.find(':') != std::string::npos;
  return Concat(tls ? "https://" : "http://", ip6 ? "[" : "", host.host, ip6 ? "]:" : ":",
                host.port);
}

lb::Balancer::Options BalancerOptions(const PoolConfig& pool, const LimitsConfig& limits) {
  lb::Balancer::Options options;
  options.upstream = options.proxy.upstream = pool.name;
  options.pool = pool.pool;
  options.model_routing = pool.model_routing;
  options.proxy.try_time_max = pool.tries.try_time_max;
  options.proxy.answer_idle_max = pool.tries.answer_idle_max;
  options.proxy.client.connect_time_max = pool.tries.connect_time_max;
  options.proxy.tries_max = pool.tries.tries_max;
  options.proxy.replay_bytes_max = pool.tries.replay_bytes_max;
  options.proxy.replay_total_bytes_max = pool.tries.replay_total_bytes_max;
  options.proxy.hold_bytes_max = pool.tries.hold_bytes_max;
  options.proxy.allow_changes = pool.tries.allow_replica_changes;
  options.proxy.hash_key = pool.hash_key;
  options.connections_max = limits.connections_max;
  options.limits.body_bytes_max = limits.body_bytes_max;
  options.limits.header_bytes_max = limits.header_bytes_max;
  options.limits.header_count_max = limits.header_count_max;
  options.limits.header_time_max = limits.header_time_max;
  options.limits.body_idle_max = limits.body_idle_max;
  options.limits.idle_max = limits.idle_max;
  options.limits.write_idle_max = limits.write_idle_max;
  options.limits.streams_max = limits.streams_max;
  return options;
}

}  // namespace tepal::gateway
