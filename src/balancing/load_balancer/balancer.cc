#include "balancing/load_balancer/balancer.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/base/text.h"
#include "core/telemetry/log.h"

namespace tepal::lb {

namespace {

constexpr Duration kSampleInterval = 1s;

net::HttpClient::Options CheckClientOptions(const Dispatcher::Options& options) {
  net::HttpClient::Options client;
  client.connect_time_max = options.health.time_max;
  client.idle_connections_max = 1;
  client.idle_keep = options.health.interval * 3;
  return client;
}

ProxyOptions ForLimits(ProxyOptions proxy, const http::Limits& limits) {
  proxy.server_limits = limits;
  // A connection that never stands must not swallow more of a body than can be sent again.
  proxy.client.limits.send_high_water_bytes =
      std::min(proxy.client.limits.send_high_water_bytes, proxy.replay_bytes_max / 2 + 1);
  return proxy;
}

std::string CheckError(const Result<net::HttpClient::Response>& response) {
  if (!response.ok()) return response.status().message();
  return response->head.status == 200 ? std::string()
                                      : Concat("status ", response->head.status, ", expected 200");
}

void ReadTraffic(const EndpointTraffic& traffic, EndpointReading& reading) {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  reading.requests = traffic.requests.load(kRelaxed);
  uint64_t answered = 0;
  for (size_t i = 0; i < reading.responses.size(); ++i) {
    reading.responses[i] = traffic.responses[i].load(kRelaxed);
    answered += reading.responses[i];
  }
  reading.failures = traffic.failures.load(kRelaxed);
  reading.cancelled = traffic.cancelled.load(kRelaxed);
  reading.bytes_sent = traffic.bytes_sent.load(kRelaxed);
  reading.bytes_received = traffic.bytes_received.load(kRelaxed);
  if (answered > 0) {
    reading.latency_mean = std::chrono::microseconds(traffic.time_us.load(kRelaxed) / answered);
  }
}

}  // namespace

Status Balancer::Validate(const Options& options) {
  RETURN_IF_ERROR(Dispatcher::Validate(options.pool));
  if (options.proxy.try_time_max <= 0ns) return InvalidArgument("try_time_max must be above 0");
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
      check_client_(
          std::make_unique<net::HttpClient>(*loops_.front(), CheckClientOptions(options_.pool))) {
  TEPAL_CHECK(Validate(options_).ok());
  net::HttpServer::Options server;
  server.limits = options_.limits;
  server.connections_max = options_.connections_max;
  server_ = std::make_unique<net::HttpServer>(
      loops_, server,
      [pool = pool_, shared = shared_,
       seed](env::EventLoop& loop) mutable -> std::unique_ptr<http::RequestHandler> {
        return std::make_unique<ProxyHandler>(loop, pool, shared, ++seed);
      });
  pool_->Start({[this](const Dispatcher::Check& check) { SendCheck(check); },
                [this](EndpointId id) { OnDrained(id); }});
  Sample();
}

Balancer::~Balancer() { Stop(); }

void Balancer::Stop() {
  if (stopped_) return;
  stopped_ = true;
  loops_.front()->Cancel(sample_timer_);
  if (admin_server_ != nullptr) admin_server_->Stop();
  server_->Stop();
  pool_->Stop();
  check_client_.reset();
}

void Balancer::Drain(Function<void()> done) {
  // Clients without pause would otherwise keep it from ever being empty.
  server_->StopAccepting();
  server_->Drain(std::move(done));
}

Result<env::Address> Balancer::Listen(const env::Address& address, env::ListenOptions options) {
  return server_->Listen(address, options);
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

void Balancer::Reconfigure(const Dispatcher::Options& pool) {
  TEPAL_CHECK(Dispatcher::Validate(pool).ok());
  options_.pool = pool;
  pool_->Reconfigure(pool);
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
  http::RequestHead head;
  head.method = "GET";
  head.target = options_.pool.health.path;
  head.scheme = "http";
  head.headers.Add("user-agent", "tepal-health-check");
  check_client_->Fetch(check.address, std::move(head), {}, options_.pool.health.time_max,
                       [this, check](Result<net::HttpClient::Response> response) {
                         pool_->OnCheck(check.endpoint, check.number, CheckError(response));
                       });
}

// Statistics.

void Balancer::Sample() {
  env::EventLoop& loop = *loops_.front();
  const Instant now = loop.Now();
  std::map<EndpointId, TrafficWindow> kept;
  for (const Dispatcher::EndpointStatus& endpoint : pool_->Read(now).endpoints) {
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
  sample_timer_ = loop.RunAfter(kSampleInterval, [this] { Sample(); });
}

BalancerState Balancer::Read() {
  env::EventLoop& loop = *loops_.front();
  BalancerState state;
  state.now = loop.Now();
  state.wall_now = loop.WallNow();
  state.started = started_;
  state.upstream = options_.upstream;

  Pool::Reading pool = pool_->Read(state.now);
  state.waiting = pool.waiting;
  state.oldest_wait = pool.oldest_wait;
  state.queue_size_max = options_.pool.queue_size_max;
  state.counters = pool.counters;
  state.retries = pool.retries;
  state.retries_refused = pool.retries_refused;
  state.retry_tokens = pool.retry_tokens;
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
  for (size_t i = 0; i < state.responses.size(); ++i) {
    state.responses[i] = proxy.responses[i].value();
  }
  state.failed = proxy.failed.value();
  state.broken_off = proxy.broken_off.value();
  state.refused = proxy.refused.value();
  state.client_gone = proxy.client_gone.value();
  state.active = static_cast<uint64_t>(proxy.active.load(std::memory_order_relaxed));
  state.bytes_received = proxy.bytes_received.value();
  state.bytes_sent = proxy.bytes_sent.value();
  state.rate_1s = window_.Rate(1s);
  state.rate_10s = window_.Rate(10s);
  state.latency_p50 = window_.Quantile(0.5);
  state.latency_p99 = window_.Quantile(0.99);
  state.history.assign(window_.history().begin(), window_.history().end());

  const net::HttpServer::Counters& connections = server_->counters();
  state.connections_accepted = connections.connections_accepted.load();
  state.connections_refused = connections.connections_refused.load();
  state.connections_open = static_cast<uint64_t>(connections.connections_open.load());
  state.tls_handshakes = connections.tls_handshakes.load();
  state.tls_handshake_failures = connections.tls_handshake_failures.load();
  state.replay_bytes = shared_->replay_budget.used();
  return state;
}

}  // namespace tepal::lb
