// The balancer as configured: a lb::Balancer for each pool behind its addresses, one admin server
// for all of them, and changes of the configuration applied while requests go on.
//
// Used on the control loop, the first of its loops.

#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "balancing/gateway/auth_files.h"
#include "balancing/gateway/config.h"
#include "balancing/gateway/fleet.h"
#include "balancing/gateway/name_lookups.h"
#include "balancing/gateway/pool_endpoints.h"
#include "balancing/gateway/reload_plan.h"
#include "balancing/load_balancer/admin_server.h"

namespace tepal::gateway {

struct PoolTls {
  std::shared_ptr<net::TlsSource> clients;
  std::shared_ptr<net::TlsSource> endpoints;
};

class Gateway {
 public:
  // All of it outlives the gateway.
  struct World {
    std::vector<env::EventLoop*> loops;
    net::Resolver& resolver;
    env::Executor& executor;  // For files.
    env::FileSystem& files;
    uint64_t seed = 0;
    std::string resolv_conf = {};  // Its text.
    // Certificates of a pool; may be null where no pool has any.
    Function<Result<PoolTls>(const PoolConfig&)> open_tls = nullptr;
    std::shared_ptr<lb::LineSink> access_log = nullptr;  // Of every pool; null: none.
    // Speaks to the API server, on the first loop; may be null where no pool has a Service.
    Function<Result<std::unique_ptr<kube::Client>>(const KubeConfig&)> open_kube = nullptr;
    // Of the admin server; may be null where it speaks no TLS.
    Function<Result<std::shared_ptr<net::TlsSource>>(const net::TlsSource::ServerFiles&)>
        open_admin_tls = nullptr;
    // Certificates to ask other balancers with; may be null where none has https://.
    Function<Result<std::shared_ptr<net::TlsSource>>(const net::TlsSource::ClientFiles&)>
        open_fleet_tls = nullptr;
    lb::BalancerIdentity identity = {};
  };
  Gateway(World world, GatewayConfig config);
  ~Gateway();  // As Stop.

  // Makes the pools and listens. `look_up` may block. The error names what did not work.
  using LookUp = Function<Result<std::vector<env::Address>>(const net::HostPort&)>;
  Status Start(LookUp look_up);

  // Applies another configuration, all of it or nothing. `done` is told what was done, never inside
  // Reload. kFailedPrecondition: it needs a restart, or another reload is in progress.
  void Reload(GatewayConfig next, Function<void(Result<std::string>)> done);

  // Refuses new clients and finishes what is in progress, everywhere; the admin server goes on.
  void Drain(Function<void()> done);
  void Stop();

  const GatewayConfig& config() const { return config_; }
  lb::AdminSubject& admin() { return admin_->subject(); }

  // Where it listens, with real ports: clients' addresses in order, then the admin server's.
  struct Bound {
    env::Address address;
    std::string pool;  // Empty: the admin server.
    bool tls = false;
  };
  const std::vector<Bound>& bound() const { return bound_; }

 private:
  struct RunningPool {
    uint64_t number;  // Never used again.
    std::string name;
    std::unique_ptr<AuthFiles> auth;  // May be null.
    std::unique_ptr<lb::Balancer> balancer;
    std::unique_ptr<PoolEndpoints> endpoints;  // Goes before the balancer.
  };

  void UseDns();
  std::vector<lb::ResolverZone> ReadResolvers() const;
  Status NeedKube(const GatewayConfig& config);
  Status ReadTokens();
  Status ListenAdmin();
  void SetCertificateRoles();
  Status MakeFleet();
  Status Listen(const ListenerConfig& listener);
  Status ListenAll(const std::vector<ListenerConfig>& listeners);
  // By pool; null where everybody may.
  using AuthOfPools = std::map<std::string, std::unique_ptr<AuthFiles>>;
  Result<AuthOfPools> ReadAuth(const GatewayConfig& next);
  Status AddPool(const PoolConfig& config, AuthOfPools& auth);
  discovery::FileWatch::World FilesWorld() const;
  void Reconfigure(const PoolConfig& config, AuthOfPools& auth);
  discovery::EndpointSet::Change SetEndpoints();
  Result<std::string> Apply(GatewayConfig next, NamesFound found);
  Status KeepNames(NamesFound found);
  void RemovePool(const std::string& name);
  RunningPool* Find(const std::string& name);

  World world_;
  GatewayConfig config_;
  std::unique_ptr<lb::AdminServer> admin_;
  std::unique_ptr<discovery::DnsClient> dns_client_;
  std::unique_ptr<discovery::DnsLookup> dns_lookup_;
  std::unique_ptr<discovery::DnsWatch> dns_;
  std::unique_ptr<discovery::KubeWatch> kube_;  // When a pool wants it.
  discovery::KubeWatch* kube_now_ = nullptr;    // The same.
  std::vector<std::unique_ptr<RunningPool>> pools_;
  std::vector<std::unique_ptr<RunningPool>> leaving_;  // Removed, and not drained yet.
  std::map<std::string, std::vector<env::Address>> names_;
  std::vector<Bound> bound_;
  std::unique_ptr<discovery::FileWatch> tokens_;
  std::unique_ptr<Fleet> fleet_;  // May be null.
  uint64_t pools_made_ = 0;
  bool reloading_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace tepal::gateway
