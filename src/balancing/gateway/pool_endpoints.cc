#include "balancing/gateway/pool_endpoints.h"

#include <set>
#include <utility>

#include "balancing/gateway/config_yaml.h"
#include "balancing/gateway/name_lookups.h"
#include "core/base/text.h"
#include "core/telemetry/log.h"

namespace tepal::gateway {

namespace {

constexpr Duration kFileInterval = 250ms;

std::string KeyOf(const EndpointConfig& endpoint) {
  return Concat(NameText(endpoint.host), " ", endpoint.service);
}

}  // namespace

PoolEndpoints::~PoolEndpoints() {
  for (const auto& [key, source] : sources_) world_.dns.Remove(source.watch);
  if (service_.has_value()) world_.kube->Remove(service_watch_);
}

discovery::EndpointSet::Change PoolEndpoints::Apply(const PoolConfig& config, const Names& names) {
  in_flight_max_ = config.endpoint_in_flight_max;
  fixed_.clear();
  for (const EndpointConfig& endpoint : config.endpoints) {
    if (endpoint.resolve) continue;
    for (const env::Address& address : names.at(NameText(endpoint.host))) {
      fixed_.push_back(Make(endpoint, address));
    }
  }
  WatchNames(config);
  WatchFile(config);
  WatchService(config);
  return Set();
}

void PoolEndpoints::WatchNames(const PoolConfig& config) {
  std::set<std::string> wanted;
  for (const EndpointConfig& endpoint : config.endpoints) {
    if (!endpoint.resolve) continue;
    const std::string key = KeyOf(endpoint);
    wanted.insert(key);
    const auto [source, is_new] = sources_.try_emplace(key);
    source->second.config = endpoint;
    if (!is_new) continue;
    discovery::DnsName name{endpoint.host.host, endpoint.host.port, endpoint.service, world_.ip6};
    source->second.watch =
        world_.dns.Add(std::move(name), [this, key](const discovery::DnsFound& found) {
          sources_.at(key).found = found.endpoints;
          (void)Set();
        });
  }
  for (auto source = sources_.begin(); source != sources_.end();) {
    if (wanted.count(source->first) > 0) {
      ++source;
      continue;
    }
    world_.dns.Remove(source->second.watch);
    source = sources_.erase(source);
  }
}

void PoolEndpoints::WatchFile(const PoolConfig& config) {
  if (config.endpoints_file == file_path_) return;
  file_path_ = config.endpoints_file;
  file_.reset();
  if (file_path_.empty()) {
    of_file_.clear();
    return;
  }
  file_ = std::make_unique<discovery::FileWatch>(
      world_.files, file_path_, kFileInterval,
      [this, path = file_path_](Result<std::string> text) { OnFile(path, std::move(text)); });
}

// Another Service keeps the endpoints of the one before until its own are known.
void PoolEndpoints::WatchService(const PoolConfig& config) {
  if (config.kubernetes == service_) return;
  if (service_.has_value()) world_.kube->Remove(service_watch_);
  service_ = config.kubernetes;
  if (!service_.has_value()) {
    of_service_.clear();
    return;
  }
  service_watch_ = world_.kube->Add(*service_, [this](const discovery::KubeFound& found) {
    of_service_ = found.endpoints;
    (void)Set();
  });
}

void PoolEndpoints::OnFile(const std::string& path, Result<std::string> text) {
  Result<std::vector<EndpointConfig>> endpoints =
      text.ok() ? ParseEndpointsFile(*text, path)
                : Result<std::vector<EndpointConfig>>(text.status());
  if (!endpoints.ok()) {
    telemetry::LogError(
        Concat("balancer: the endpoints stay as they were: ", endpoints.status().message()));
    return;
  }
  of_file_ = *std::move(endpoints);
  const discovery::EndpointSet::Change change = Set();
  telemetry::LogInfo(Concat("balancer: ", path, ": ", change.added, " added, ", change.removed,
                            " removed, ", change.changed, " changed"));
}

discovery::WantedEndpoint PoolEndpoints::Make(const EndpointConfig& config,
                                              const env::Address& address) const {
  discovery::WantedEndpoint one;
  one.spec.address = address;
  if (config.grpc_port != 0) {
    one.spec.grpc_address = address;
    one.spec.grpc_address->port = config.grpc_port;
  }
  one.spec.name = config.name;
  one.spec.slot = config.slot;
  one.spec.weight = config.weight;
  one.spec.backup = config.backup;
  one.spec.slow_start = config.slow_start;
  one.spec.in_flight_max = config.in_flight_max.value_or(in_flight_max_);
  one.down = config.down;
  return one;
}

discovery::EndpointSet::Change PoolEndpoints::Set() {
  std::vector<discovery::WantedEndpoint> wanted = fixed_;
  for (const auto& [key, source] : sources_) {
    for (const discovery::DnsFound::One& found : source.found) {
      wanted.push_back(Make(source.config, found.address));
      wanted.back().spec.weight *= found.weight;
    }
  }
  for (const EndpointConfig& endpoint : of_file_) {
    const auto address = NumericAddress(endpoint.host);
    if (address.has_value()) wanted.push_back(Make(endpoint, *address));
  }
  for (const discovery::KubeFound::One& found : of_service_) {
    EndpointConfig pod;
    pod.name = found.name;
    pod.grpc_port = found.grpc_port;
    wanted.push_back(Make(pod, found.address));
  }
  return set_.Set(wanted);
}

}  // namespace tepal::gateway
