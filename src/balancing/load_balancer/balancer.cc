#include "balancing/load_balancer/balancer.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/base/text.h"
#include "core/telemetry/log.h"

namespace tepal::lb {

namespace {

constexpr Duration kSampleInterval = 1s;

ProxyOptions ForLimits(ProxyOptions proxy, const http::Limits& limits) {
  proxy.server_limits = limits;
  // A connection that never stands must not swallow more of a body than can be sent again.
  proxy.client.limits.send_high_water_bytes =
      std::min(proxy.client.limits.send_high_water_bytes, proxy.replay_bytes_max / 2 + 1);
  // Many calls share a connection to an endpoint: those whose clients are slow must not use up what
  // the others need.
  proxy.client.limits.window_bytes = 1u << 20;
  proxy.client.limits.connection_window_bytes = 64u << 20;
  return proxy;
}

// One loop's proxy behind one of its doors.
class SharedHandler final : public http::RequestHandler {
 public:
  explicit SharedHandler(std::shared_ptr<ProxyHandler> proxy) : proxy_(std::move(proxy)) {}
  std::unique_ptr<http::RequestReceiver> OnRequest(http::RequestHead head,
                                                   http::ResponseSender& sender) override {
    return proxy_->OnRequest(std::move(head), sender);
  }

 private:
  const std::shared_ptr<ProxyHandler> proxy_;
};

void ReadTraffic(const EndpointTraffic& traffic, EndpointReading& reading) {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  reading.requests = traffic.requests.load(kRelaxed);
  reading.codes = traffic.responses.Read();
  reading.responses = ClassesOf(reading.codes);
  reading.failures = traffic.failures.load(kRelaxed);
  reading.cancelled = traffic.cancelled.load(kRelaxed);
  reading.bytes_sent = traffic.bytes_sent.load(kRelaxed);
  reading.bytes_received = traffic.bytes_received.load(kRelaxed);
  reading.header_time = traffic.header_time.value();
  reading.response_time = traffic.response_time.value();
}

}  // namespace

Status Balancer::Validate(const Options& options) {
  RETURN_IF_ERROR(Dispatcher::Validate(options.pool));
  RETURN_IF_ERROR(HealthProbe::Validate(options.pool.health));
  if (options.proxy.try_time_max <= 0ns) return InvalidArgument("try_time_max must be above 0");
  if (options.proxy.answer_idle_max <= 0ns) {
    return InvalidArgument("answer_idle_max must be above 0");
  }
  if (options.proxy.tries_max == 0) return InvalidArgument("tries_max must be at least 1");
  if (options.proxy.replay_total_bytes_max < options.proxy.replay_bytes_max) {
    return InvalidArgument("replay_total_bytes_max is smaller than replay_bytes_max");
  }
  return {};
}

Balancer::Balancer(std::vector<env::EventLoop*> loops, Options options, uint64_t seed)
    : loops_(std::move(loops)),
      options_(std::move(options)),
      started_(loops_.front()->WallNow()),
      pool_(std::make_shared<Pool>(*loops_.front(), options_.pool, seed)),
      shared_(std::make_shared<ProxyHandler::Shared>(ForLimits(options_.proxy, options_.limits))),
      probe_(std::make_unique<HealthProbe>(*loops_.front(), options_.proxy.client.tls)),
      models_(std::make_unique<ModelProbe>(*loops_.front(), options_.proxy.client.tls)) {
  TEPAL_CHECK(Validate(options_).ok());
  MakeServers(seed);
  pool_->Start({[this](const Dispatcher::Check& check) { SendCheck(check); },
                [this](EndpointId id) { OnDrained(id); }});
  Sample();
}

// The doors of one loop share its proxy, and so its connections to the endpoints. It goes on that
// loop, with the last of them.
void Balancer::MakeServers(uint64_t seed) {
  std::map<env::EventLoop*, std::shared_ptr<ProxyHandler>> proxies;
  for (env::EventLoop* loop : loops_) {
    proxies[loop] = std::make_shared<ProxyHandler>(*loop, pool_, shared_, ++seed);
  }
  const auto make = [&](std::shared_ptr<net::TlsSource> tls) {
    net::HttpServer::Options server;
    server.tls = std::move(tls);
    server.limits = options_.limits;
    server.connections_max = options_.connections_max;
    return std::make_unique<net::HttpServer>(
        loops_, server, [&](env::EventLoop& loop) -> std::unique_ptr<http::RequestHandler> {
          return std::make_unique<SharedHandler>(proxies[&loop]);
        });
  };
  server_ = make(nullptr);
  if (options_.client_tls != nullptr) tls_server_ = make(options_.client_tls);
}

Balancer::~Balancer() { Stop(); }

void Balancer::Stop() {
  if (stopped_) return;
  stopped_ = true;
  loops_.front()->Cancel(sample_timer_);
  if (admin_server_ != nullptr) admin_server_->Stop();
  if (tls_server_ != nullptr) tls_server_->Stop();
  server_->Stop();
  pool_->Stop();
  probe_.reset();
  models_.reset();
}

void Balancer::Drain(Function<void()> done) {
  std::vector<net::HttpServer*> servers = {server_.get()};
  if (tls_server_ != nullptr) servers.push_back(tls_server_.get());
  draining_ = static_cast<int>(servers.size());
  const auto drained = std::make_shared<Function<void()>>(std::move(done));
  for (net::HttpServer* server : servers) {
    // Clients without pause would otherwise keep it from ever being empty.
    server->StopAccepting();
    server->Drain([this, drained] {
      if (--draining_ == 0) (*drained)();
    });
  }
}

Result<env::Address> Balancer::Listen(const env::Address& address, env::ListenOptions options) {
  return server_->Listen(address, options);
}

Result<env::Address> Balancer::ListenTls(const env::Address& address, env::ListenOptions options) {
  if (tls_server_ == nullptr) return InvalidArgument("there is no certificate to listen with");
  return tls_server_->Listen(address, options);
}

Result<env::Address> Balancer::ListenOn(int descriptor) { return server_->ListenOn(descriptor); }

Result<env::Address> Balancer::ListenAdmin(const env::Address& address) {
  return Admin().Listen(address);
}

void Balancer::SetExtraState(Function<std::string()> json) {
  Admin().subject().extra_state = std::move(json);
}

AdminServer& Balancer::Admin() {
  if (admin_server_ == nullptr) {
    admin_server_ = std::make_unique<AdminServer>(*loops_.front());
    admin_server_->subject().pools.push_back({options_.upstream, this, false});
  }
  return *admin_server_;
}

void Balancer::Reconfigure(const Options& options) {
  TEPAL_CHECK(Validate(options).ok());
  const ProxyOptions before = std::exchange(options_.proxy, options.proxy);
  options_.proxy.access_log = before.access_log;
  options_.proxy.upstream = before.upstream;
  options_.proxy.client.tls = before.client.tls;
  options_.pool = options.pool;
  options_.model_routing = options.model_routing;
  options_.limits = options.limits;
  options_.connections_max = options.connections_max;
  pool_->Reconfigure(options_.pool);
  shared_->SetOptions(ForLimits(options_.proxy, options_.limits));
  for (net::HttpServer* server : {server_.get(), tls_server_.get()}) {
    if (server != nullptr) server->SetLimits(options_.limits, options_.connections_max);
  }
}

// Endpoints.

EndpointId Balancer::AddEndpoint(EndpointSpec spec) {
  telemetry::LogInfo(Concat("balancer: endpoint ", spec.address.ToString(), " added"));
  return pool_->Add(std::move(spec));
}

Status Balancer::DrainEndpoint(EndpointId id, Function<void()> done) {
  if (done) on_drained_[id].push_back(std::move(done));
  Status status = pool_->Drain(id);
  if (!status.ok()) on_drained_.erase(id);
  return status;
}

Status Balancer::RemoveEndpoint(EndpointId id) { return pool_->Remove(id); }

Status Balancer::SetDown(EndpointId id, bool down) { return pool_->SetDown(id, down); }

Status Balancer::SetWeight(EndpointId id, uint32_t weight) { return pool_->SetWeight(id, weight); }

Status Balancer::SetInFlightMax(EndpointId id, uint32_t in_flight_max) {
  return pool_->SetInFlightMax(id, in_flight_max);
}

void Balancer::OnDrained(EndpointId id) {
  const auto waiting = on_drained_.extract(id);
  if (waiting.empty()) return;
  for (Function<void()>& done : waiting.mapped()) done();
}

void Balancer::SendCheck(const Dispatcher::Check& check) {
  probe_->Send(check, options_.pool.health, [this, check](std::string error) {
    pool_->OnCheck(check.endpoint, check.number, std::move(error));
  });
}

// Statistics.

void Balancer::Sample() {
  env::EventLoop& loop = *loops_.front();
  const Instant now = loop.Now();
  std::map<EndpointId, TrafficWindow> kept;
  const Pool::Reading pool = pool_->Read(now);
  AskForModels(pool.endpoints);
  for (const Dispatcher::EndpointStatus& endpoint : pool.endpoints) {
    TrafficWindow window;
    if (auto known = windows_.find(endpoint.id); known != windows_.end()) {
      window = std::move(known->second);
    }
    window.Add(now, endpoint.traffic->requests.load(std::memory_order_relaxed),
               endpoint.traffic->latency.Read());
    kept.emplace(endpoint.id, std::move(window));
  }
  windows_ = std::move(kept);
  window_.Add(now, shared_->statistics.requests.value(), shared_->statistics.latency.Read());
  SampleModels(now);
  sample_timer_ = loop.RunAfter(kSampleInterval, [this] { Sample(); });
}

void Balancer::SampleModels(Instant now) {
  const std::vector<uint64_t> requests = pool_->ReadModelRequests();
  const size_t known = model_windows_.size();
  model_windows_.resize(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    // What came before a model was first looked at has come since the last look.
    if (i >= known) (void)model_windows_[i].Add(now - kSampleInterval, 0);
    (void)model_windows_[i].Add(now, requests[i]);
  }
}

void Balancer::AskForModels(const std::vector<Dispatcher::EndpointStatus>& endpoints) {
  for (const Dispatcher::EndpointStatus& endpoint : endpoints) {
    if (!options_.model_routing) {
      pool_->OnListing(endpoint.id, nullptr);
      continue;
    }
    if (endpoint.state == EndpointState::kRemoved) models_->Forget(endpoint.id);
    if (endpoint.state != EndpointState::kUp) continue;
    models_->Ask(
        endpoint.id, endpoint.spec.address, endpoints.size(),
        [this, id = endpoint.id](const ServerLoad* listing) { pool_->OnListing(id, listing); });
  }
}

BalancerState Balancer::Read() {
  env::EventLoop& loop = *loops_.front();
  BalancerState state;
  state.now = loop.Now();
  state.wall_now = loop.WallNow();
  state.started = started_;
  state.upstream = options_.upstream;

  Pool::Reading pool = pool_->Read(state.now);
  state.models = pool.models;
  state.waiting = pool.waiting;
  state.oldest_wait = pool.oldest_wait;
  state.queue_size_max = options_.pool.queue_size_max;
  state.counters = pool.counters;
  state.retries = pool.retries;
  state.retries_refused = pool.retries_refused;
  state.retry_tokens = pool.retry_tokens;
  state.hedging = options_.pool.hedging.on();
  state.hedges = pool.hedges;
  state.hedges_refused = pool.hedges_refused;
  uint64_t recent = 0;
  for (const auto& [id, window] : windows_) recent += window.Count(TrafficWindow::kQuantileWindow);
  for (Dispatcher::EndpointStatus& status : pool.endpoints) {
    EndpointReading reading;
    state.in_flight += status.in_flight;
    ReadTraffic(*status.traffic, reading);
    if (const auto found = windows_.find(status.id); found != windows_.end()) {
      const TrafficWindow& window = found->second;
      reading.rate_1s = window.Rate(1s);
      reading.rate_10s = window.Rate(10s);
      const auto count = static_cast<double>(window.Count(TrafficWindow::kQuantileWindow));
      reading.share = recent == 0 ? 0 : count / static_cast<double>(recent);
      reading.latency_p50 = window.Quantile(0.5);
      reading.latency_p99 = window.Quantile(0.99);
      reading.history.assign(window.history().begin(), window.history().end());
    }
    reading.status = std::move(status);
    state.endpoints.push_back(std::move(reading));
  }

  const ProxyStatistics& proxy = shared_->statistics;
  state.requests = proxy.requests.value();
  state.codes = proxy.responses.Read();
  state.responses = ClassesOf(state.codes);
  state.failed = proxy.failed.value();
  state.broken_off = proxy.broken_off.value();
  state.refused = proxy.refused.value();
  state.unauthorized = proxy.unauthorized.value();
  state.client_gone = proxy.client_gone.value();
  state.load_reports = proxy.load_reports.value();
  state.load_malformed = proxy.load_malformed.value();
  state.rescued = proxy.rescued.value();
  state.hedges_won = proxy.hedges_won.value();
  state.active = static_cast<uint64_t>(proxy.active.load(std::memory_order_relaxed));
  state.bytes_received = proxy.bytes_received.value();
  state.bytes_sent = proxy.bytes_sent.value();
  state.rate_1s = window_.Rate(1s);
  state.rate_10s = window_.Rate(10s);
  state.latency_p50 = window_.Quantile(0.5);
  state.latency_p99 = window_.Quantile(0.99);
  state.history.assign(window_.history().begin(), window_.history().end());

  for (const net::HttpServer* server : {server_.get(), tls_server_.get()}) {
    if (server == nullptr) continue;
    const net::HttpServer::Counters& connections = server->counters();
    state.connections_accepted += connections.connections_accepted.load();
    state.connections_refused += connections.connections_refused.load();
    state.connections_open += static_cast<uint64_t>(connections.connections_open.load());
    state.tls_handshakes += connections.tls_handshakes.load();
    state.tls_handshake_failures += connections.tls_handshake_failures.load();
  }
  state.replay_bytes = shared_->replay_budget.used();
  return state;
}

std::vector<ModelReading> Balancer::ReadModels() {
  std::vector<ModelReading> models;
  for (ModelStatus& status : pool_->ReadModels(loops_.front()->Now())) {
    ModelReading reading;
    if (status.number <= model_windows_.size()) {
      const RateWindow& window = model_windows_[status.number - 1];
      reading.rate_1s = window.Rate(1s);
      reading.rate_10s = window.Rate(10s);
      reading.history.assign(window.history().begin(), window.history().end());
    }
    const bool idle =
        !reading.history.empty() && std::all_of(reading.history.begin(), reading.history.end(),
                                                [](double rate) { return rate == 0; });
    if (idle && status.ready == 0 && status.waiting == 0 && status.counts.in_flight == 0) continue;
    reading.status = std::move(status);
    models.push_back(std::move(reading));
  }
  return models;
}

std::vector<ModelAtEndpoint> Balancer::ReadModelEndpoints(ModelNumber model) {
  return pool_->ReadModelEndpoints(model, loops_.front()->Now());
}

}  // namespace tepal::lb
