// The endpoints of one pool, from all of its sources: those of the file as they are, names that are
// looked up again and again, a file of endpoints that is watched, a Service of Kubernetes. Used on
// the control loop.

#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "balancing/discovery/dns_watch.h"
#include "balancing/discovery/endpoint_set.h"
#include "balancing/discovery/file_watch.h"
#include "balancing/discovery/kube_watch.h"
#include "balancing/gateway/config.h"

namespace tepal::gateway {

class PoolEndpoints {
 public:
  // All of it outlives this.
  struct World {
    lb::EndpointControl& control;
    discovery::DnsWatch& dns;
    discovery::FileWatch::World files;
    const bool& ip6;  // Of names that are new; DnsWatch::Change is told for the others.
    discovery::KubeWatch* const& kube;  // Made when the first pool wants it.
  };
  explicit PoolEndpoints(const World& world) : world_(world), set_(world.control) {}
  ~PoolEndpoints();

  // Addresses of the names that are looked up once, by NameText.
  using Names = std::map<std::string, std::vector<env::Address>>;
  discovery::EndpointSet::Change Apply(const PoolConfig& config, const Names& names);

 private:
  struct Source {
    EndpointConfig config;  // What its endpoints have in common.
    uint64_t watch = 0;
    std::vector<discovery::DnsFound::One> found;
  };
  void WatchNames(const PoolConfig& config);
  void WatchFile(const PoolConfig& config);
  void WatchService(const PoolConfig& config);
  void OnFile(const std::string& path, Result<std::string> text);
  discovery::WantedEndpoint Make(const EndpointConfig& config, const env::Address& address) const;
  discovery::EndpointSet::Change Set();

  const World world_;
  discovery::EndpointSet set_;
  uint32_t in_flight_max_ = 0;
  std::vector<discovery::WantedEndpoint> fixed_;
  std::map<std::string, Source> sources_;  // By name, port and service.
  std::string file_path_;
  std::unique_ptr<discovery::FileWatch> file_;
  std::vector<EndpointConfig> of_file_;
  std::optional<discovery::KubeService> service_;
  uint64_t service_watch_ = 0;
  std::vector<discovery::KubeFound::One> of_service_;
};

}  // namespace tepal::gateway
