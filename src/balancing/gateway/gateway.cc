#include "balancing/gateway/gateway.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/base/text.h"
#include "core/telemetry/log.h"

namespace tepal::gateway {

namespace {

constexpr Duration kTokensInterval = 1s;

std::vector<net::HostPort> NamesOf(const GatewayConfig& config) {
  std::vector<net::HostPort> names;
  for (const PoolConfig& pool : config.pools) {
    for (const EndpointConfig& endpoint : pool.endpoints) {
      if (!endpoint.resolve) names.push_back(endpoint.host);
    }
  }
  return names;
}

bool IsDiscovered(const PoolConfig& config) {
  return !config.endpoints_file.empty() || config.kubernetes.has_value() ||
         std::any_of(config.endpoints.begin(), config.endpoints.end(),
                     [](const EndpointConfig& endpoint) { return endpoint.resolve; });
}

std::string Summary(const ReloadPlan& plan, const discovery::EndpointSet::Change& change) {
  return Concat("pools: ", plan.added.size(), " added, ", plan.removed.size(),
                " removed; listeners: ", plan.listeners.size(), " added; endpoints: ", change.added,
                " added, ", change.removed, " removed, ", change.changed, " changed");
}

}  // namespace

Gateway::Gateway(World world, GatewayConfig config)
    : world_(std::move(world)),
      config_(std::move(config)),
      admin_(std::make_unique<lb::AdminServer>(*world_.loops.front())) {
  admin_->subject().writable = config_.admin_writes;
  UseDns();
}

Gateway::~Gateway() { Stop(); }

Status Gateway::Start(LookUp look_up) {
  RETURN_IF_ERROR(ReadTokens());
  RETURN_IF_ERROR(MakeFleet());
  RETURN_IF_ERROR(NeedKube(config_));
  for (const net::HostPort& name : NamesOf(config_)) {
    if (names_.count(NameText(name)) > 0) continue;
    ASSIGN_OR_RETURN(names_[NameText(name)], look_up(name));
  }
  ASSIGN_OR_RETURN(AuthOfPools auth, ReadAuth(config_));
  for (const PoolConfig& pool : config_.pools) RETURN_IF_ERROR(AddPool(pool, auth));
  RETURN_IF_ERROR(ListenAll(config_.listeners));
  (void)SetEndpoints();
  return ListenAdmin();
}

Status Gateway::ListenAdmin() {
  if (!config_.admin.has_value()) return {};
  SetCertificateRoles();
  std::shared_ptr<net::TlsSource> tls;
  if (config_.admin_tls.has_value()) {
    TEPAL_CHECK(world_.open_admin_tls);
    ASSIGN_OR_RETURN(tls, world_.open_admin_tls(config_.admin_tls->files).WithContext("admin.tls"));
  }
  const bool over_tls = tls != nullptr;
  ASSIGN_OR_RETURN(const env::Address address,
                   admin_->Listen(*config_.admin, std::move(tls)).WithContext("admin"));
  bound_.push_back({address, "", over_tls});
  return {};
}

void Gateway::SetCertificateRoles() {
  const bool asked = config_.admin_tls.has_value() && !config_.admin_tls->files.client_ca.empty();
  admin_->subject().certificates = asked ? std::optional(config_.admin_tls->roles) : std::nullopt;
}

discovery::FileWatch::World Gateway::FilesWorld() const {
  return {*world_.loops.front(), world_.executor, world_.files};
}

// Of pools that are new, or that others may use from now on. Reads the files.
Result<Gateway::AuthOfPools> Gateway::ReadAuth(const GatewayConfig& next) {
  AuthOfPools read;
  for (const PoolConfig& pool : next.pools) {
    if (Find(pool.name) != nullptr && config_.FindPool(pool.name)->auth == pool.auth) continue;
    std::unique_ptr<AuthFiles>& auth = read[pool.name];
    if (!pool.auth.has_value()) continue;
    ASSIGN_OR_RETURN(auth, AuthFiles::New(FilesWorld(), *pool.auth, world_.seed)
                               .WithContext(Concat("auth of pool '", pool.name, "'")));
  }
  return read;
}

Status Gateway::AddPool(const PoolConfig& config, AuthOfPools& auth) {
  lb::Balancer::Options options = BalancerOptions(config, config_.limits);
  options.proxy.access_log = world_.access_log;
  if (config.client_tls.has_value() || config.endpoint_tls.has_value()) {
    TEPAL_CHECK(world_.open_tls);
    ASSIGN_OR_RETURN(PoolTls tls, world_.open_tls(config).WithContext(
                                      Concat("TLS of pool '", config.name, "'")));
    options.client_tls = std::move(tls.clients);
    options.proxy.client.tls = std::move(tls.endpoints);
  }
  auto pool = std::make_unique<RunningPool>();
  pool->auth = std::move(auth.extract(config.name).mapped());
  if (pool->auth != nullptr) options.proxy.access = pool->auth->source();
  pool->number = ++pools_made_;
  pool->name = config.name;
  pool->balancer = std::make_unique<lb::Balancer>(world_.loops, std::move(options),
                                                  world_.seed + (pool->number << 32));
  pool->endpoints = std::make_unique<PoolEndpoints>(
      PoolEndpoints::World{*pool->balancer, *dns_, FilesWorld(), config_.dns.ip6, kube_now_});
  admin_->subject().pools.push_back({config.name, pool->balancer.get(), false});
  pools_.push_back(std::move(pool));
  return {};
}

Status Gateway::Listen(const ListenerConfig& listener) {
  lb::Balancer& balancer = *Find(listener.pool)->balancer;
  ASSIGN_OR_RETURN(
      const env::Address address,
      (listener.tls ? balancer.ListenTls(listener.address) : balancer.Listen(listener.address))
          .WithContext(Concat("listening at ", listener.address.ToString())));
  bound_.push_back({address, listener.pool, listener.tls});
  return {};
}

Status Gateway::ListenAll(const std::vector<ListenerConfig>& listeners) {
  for (const ListenerConfig& listener : listeners) RETURN_IF_ERROR(Listen(listener));
  return {};
}

discovery::EndpointSet::Change Gateway::SetEndpoints() {
  discovery::EndpointSet::Change sum;
  for (const PoolConfig& config : config_.pools) {
    const auto change = Find(config.name)->endpoints->Apply(config, names_);
    sum.added += change.added;
    sum.removed += change.removed;
    sum.changed += change.changed;
    admin_->subject().Find(config.name)->discovered = IsDiscovered(config);
  }
  return sum;
}

// Before anybody is let in; and again whenever the file changes. A file that is wrong then leaves
// the tokens as they were.
Status Gateway::ReadTokens() {
  const std::string& path = config_.admin_tokens;
  if (path.empty()) return {};
  ASSIGN_OR_RETURN(const std::string first,
                   world_.files.Read(path, discovery::kWatchedFileBytesMax));
  ASSIGN_OR_RETURN(admin_->subject().access, lb::AdminAccess::Parse(first, path));
  tokens_ = std::make_unique<discovery::FileWatch>(
      FilesWorld(), path, kTokensInterval, [this, path](const Result<std::string>& text) {
        Result<lb::AdminAccess> access = text.ok() ? lb::AdminAccess::Parse(*text, path)
                                                   : Result<lb::AdminAccess>(text.status());
        if (access.ok()) {
          admin_->subject().access = *std::move(access);
        } else {
          telemetry::LogError(
              Concat("The admin tokens stay as they were: ", access.status().message()));
        }
      });
  return {};
}

std::vector<lb::ResolverZone> Gateway::ReadResolvers() const {
  const discovery::DnsCounters& dns = dns_client_->counters();
  const auto& codes = dns.codes;
  return {{config_.dns.status_zone,
           {{"name", dns.names}, {"srv", dns.services}, {"addr", 0}},
           {{"noerror", codes[0]},
            {"formerr", codes[1]},
            {"servfail", codes[2]},
            {"nxdomain", codes[3]},
            {"notimp", codes[4]},
            {"refused", codes[5]},
            {"timedout", dns.timed_out},
            {"unknown", dns.unknown}}}};
}

Status Gateway::MakeFleet() {
  lb::AdminSubject& subject = admin_->subject();
  subject.identity = world_.identity;
  if (config_.fleet.empty()) return {};
  std::shared_ptr<net::TlsSource> tls;
  if (std::any_of(config_.fleet.begin(), config_.fleet.end(),
                  [](const FleetAddress& other) { return other.tls; })) {
    TEPAL_CHECK(world_.open_fleet_tls);
    ASSIGN_OR_RETURN(
        tls, world_.open_fleet_tls(config_.fleet_tls.value_or(net::TlsSource::ClientFiles()))
                 .WithContext("admin.fleet_tls"));
  }
  fleet_ = std::make_unique<Fleet>(*world_.loops.front(), world_.resolver, config_.fleet,
                                   std::move(tls));
  subject.identity.fleet = true;
  subject.fleet = [this, &subject](std::string authorization,
                                   Function<void(Result<std::string>)> done) {
    auto self = lb::ReadFleetMember(lb::PoolsJson(subject.Read(), "", subject.identity, {}));
    if (self.ok()) {
      return fleet_->Ask(std::move(authorization), *std::move(self), std::move(done));
    }
    world_.loops.front()->Post(
        [done = std::move(done), why = self.status()]() mutable { done(std::move(why)); });
  };
  return {};
}

// As the configuration has it; again when that has changed.
void Gateway::UseDns() {
  env::EventLoop& loop = *world_.loops.front();
  discovery::ResolvConf conf = discovery::ParseResolvConf(world_.resolv_conf);
  if (!config_.dns.servers.empty()) {
    conf = {};  // Names are taken as they are then.
    conf.servers = config_.dns.servers;
  }
  if (conf.servers.empty()) {
    conf.servers.push_back({env::Address::Family::kIp4, "127.0.0.1", 53});  // As resolv.conf(5).
  }
  auto client = std::make_unique<discovery::DnsClient>(
      loop, discovery::DnsClient::Options{conf.servers, config_.dns.time_max}, world_.seed,
      dns_client_ == nullptr ? discovery::DnsCounters() : dns_client_->counters());
  auto lookup = std::make_unique<discovery::DnsLookup>(*client, std::move(conf));
  discovery::Refresh::Options refresh;
  refresh.valid = config_.dns.valid;
  refresh.ttl_max = config_.dns.ttl_max;
  if (dns_ == nullptr) {
    dns_ = std::make_unique<discovery::DnsWatch>(loop, *lookup, refresh);
  } else {
    dns_->Change(*lookup, refresh, config_.dns.ip6);
  }
  dns_lookup_ = std::move(lookup);
  dns_client_ = std::move(client);
  admin_->subject().resolvers = [this] { return ReadResolvers(); };
}

Status Gateway::NeedKube(const GatewayConfig& config) {
  const bool wanted =
      std::any_of(config.pools.begin(), config.pools.end(),
                  [](const PoolConfig& pool) { return pool.kubernetes.has_value(); });
  if (!wanted || kube_ != nullptr) return {};
  if (!world_.open_kube) return FailedPrecondition("there is no way to Kubernetes");
  ASSIGN_OR_RETURN(std::unique_ptr<kube::Client> client,
                   world_.open_kube(config.kubernetes).WithContext("Kubernetes"));
  kube_ =
      std::make_unique<discovery::KubeWatch>(*world_.loops.front(), std::move(client), world_.seed);
  kube_now_ = kube_.get();
  return {};
}

void Gateway::Reload(GatewayConfig next, Function<void(Result<std::string>)> done) {
  const auto refuse = [&](Status why) {
    world_.loops.front()->Post(
        [done = std::move(done), why = std::move(why)]() mutable { done(std::move(why)); });
  };
  if (reloading_) return refuse(FailedPrecondition("another reload is in progress"));
  if (Status status = NeedsRestart(PlanReload(config_, next)); !status.ok()) return refuse(status);
  reloading_ = true;
  std::vector<net::HostPort> names = NamesOf(next);
  LookUpNames(world_.resolver, *world_.loops.front(), std::move(names),
              [this, alive = alive_, next = std::move(next),
               done = std::move(done)](NamesFound found) mutable {
                if (!*alive) return;  // So has everybody who waits for it.
                reloading_ = false;
                done(Apply(std::move(next), std::move(found)));
              });
}

// A name that has become unknown keeps the addresses it had: a failed look-up must not empty a
// pool.
Status Gateway::KeepNames(NamesFound found) {
  for (const auto& [name, status] : found.failures) {
    const auto known = names_.find(name);
    if (known == names_.end()) return status;
    telemetry::LogWarning(
        Concat("balancer: '", name, "' keeps its addresses, because of: ", status.message()));
    found.addresses[name] = known->second;
  }
  names_ = std::move(found.addresses);
  return {};
}

Result<std::string> Gateway::Apply(GatewayConfig next, NamesFound found) {
  const ReloadPlan plan = PlanReload(config_, next);
  RETURN_IF_ERROR(NeedKube(next));
  ASSIGN_OR_RETURN(AuthOfPools auth, ReadAuth(next));
  RETURN_IF_ERROR(KeepNames(std::move(found)));
  // Without TLS, which needs a restart: this cannot fail.
  for (const std::string& name : plan.added) RETURN_IF_ERROR(AddPool(*next.FindPool(name), auth));
  if (Status status = ListenAll(plan.listeners); !status.ok()) {
    for (const std::string& name : plan.added) RemovePool(name);
    return status;
  }
  for (const std::string& name : plan.removed) RemovePool(name);
  const bool other_dns = !(config_.dns == next.dns);
  config_ = std::move(next);
  SetCertificateRoles();
  if (other_dns) UseDns();
  for (const PoolConfig& pool : config_.pools) Reconfigure(pool, auth);
  const discovery::EndpointSet::Change change = SetEndpoints();
  ++admin_->subject().generation;
  const std::string summary = Summary(plan, change);
  telemetry::LogInfo(Concat("balancer: reloaded; ", summary));
  return summary;
}

void Gateway::Reconfigure(const PoolConfig& config, AuthOfPools& auth) {
  RunningPool& pool = *Find(config.name);
  if (auto others = auth.extract(config.name); !others.empty()) {
    pool.auth = std::move(others.mapped());
  }
  lb::Balancer::Options options = BalancerOptions(config, config_.limits);
  if (pool.auth != nullptr) options.proxy.access = pool.auth->source();
  pool.balancer->Reconfigure(options);
}

Gateway::RunningPool* Gateway::Find(const std::string& name) {
  for (const auto& pool : pools_) {
    if (pool->name == name) return pool.get();
  }
  return nullptr;
}

void Gateway::RemovePool(const std::string& name) {
  std::vector<lb::AdminPool>& shown = admin_->subject().pools;
  std::erase_if(shown, [&](const lb::AdminPool& pool) { return pool.name == name; });
  std::erase_if(bound_, [&](const Bound& bound) { return bound.pool == name; });
  const auto found = std::find_if(pools_.begin(), pools_.end(),
                                  [&](const auto& pool) { return pool->name == name; });
  lb::Balancer& balancer = *(*found)->balancer;
  const uint64_t number = (*found)->number;
  (*found)->endpoints.reset();  // What it has is finished; nothing new is looked for.
  leaving_.push_back(std::move(*found));
  pools_.erase(found);
  env::EventLoop& loop = *world_.loops.front();
  const auto forget = [this, alive = alive_, number] {
    if (!*alive) return;
    std::erase_if(leaving_, [&](const auto& pool) { return pool->number == number; });
  };
  balancer.Drain([&loop, forget] { loop.Post(forget); });
  loop.RunAfter(config_.drain_time_max, forget);
}

void Gateway::Drain(Function<void()> done) {
  auto left = std::make_shared<size_t>(pools_.size() + 1);
  auto when_done = std::make_shared<Function<void()>>(std::move(done));
  const auto one_less = [left, when_done] {
    if (--*left == 0) (*when_done)();
  };
  for (const auto& pool : pools_) pool->balancer->Drain(one_less);
  one_less();
}

void Gateway::Stop() {
  *alive_ = false;
  tokens_.reset();
  admin_->Stop();
  fleet_.reset();
  admin_->subject().pools.clear();
  pools_.clear();
  leaving_.clear();
}

}  // namespace tepal::gateway
