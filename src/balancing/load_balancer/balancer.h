// The balancer as a whole: listeners, proxies on every loop, the pool they share, health checks,
// statistics and the admin server. What `tepal balance` and `tepal up` are built on.
//
// The first loop is the control loop: all of this class is used on its thread, and endpoints may be
// added, drained and removed at any time there. Requests are proxied on every loop.

#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "balancing/load_balancer/admin_server.h"
#include "balancing/load_balancer/endpoint_control.h"
#include "balancing/load_balancer/health_probe.h"
#include "balancing/load_balancer/model_probe.h"
#include "balancing/load_balancer/proxy_handler.h"
#include "balancing/load_balancer/traffic_window.h"
#include "core/base/function.h"
#include "core/env/event_loop.h"
#include "network/net/http_client.h"
#include "network/net/http_server.h"

namespace tepal::lb {

class Balancer final : public EndpointControl {
 public:
  struct Options {
    Options() { limits.body_bytes_max = 2ull << 30; }  // Large bodies only stream through.

    std::string upstream = "tepal";  // The pool's name in the admin API.
    Dispatcher::Options pool;
    bool model_routing = true;  // Endpoints are asked which models they have: model_probe.h.
    ProxyOptions proxy;
    http::Limits limits;                         // Of clients' connections.
    uint32_t connections_max = 65536;            // Of clients.
    std::shared_ptr<net::TlsSource> client_tls;  // For ListenTls.
  };

  // kInvalidArgument names the option that makes no sense.
  static Status Validate(const Options& options);

  // The loops outlive the balancer. `seed` makes choices and request ids.
  Balancer(std::vector<env::EventLoop*> loops, Options options, uint64_t seed);
  ~Balancer() override;  // As Stop.

  // Clients' addresses; any number. HTTP/1.1, HTTP/2 and gRPC share each. Returns the address with
  // its real port.
  Result<env::Address> Listen(const env::Address& address, env::ListenOptions options = {});
  Result<env::Address> ListenOn(int descriptor);
  Result<env::Address> ListenTls(const env::Address& address, env::ListenOptions options = {});

  // An admin server for this pool alone; for several see admin_server.h.
  Result<env::Address> ListenAdmin(const env::Address& address);

  // See endpoint_control.h.
  EndpointId AddEndpoint(EndpointSpec spec) override;
  Status DrainEndpoint(EndpointId id, Function<void()> done) override;
  Status RemoveEndpoint(EndpointId id) override;
  Status SetDown(EndpointId id, bool down) override;
  Status SetWeight(EndpointId id, uint32_t weight) override;
  Status SetInFlightMax(EndpointId id, uint32_t in_flight_max) override;
  BalancerState Read() override;
  std::vector<ModelReading> ReadModels() override;
  std::vector<ModelAtEndpoint> ReadModelEndpoints(ModelNumber model) override;

  // Other choices, checks, limits and access from now on, valid ones: endpoints, what is in flight
  // and who waits stay. Requests in progress are tried, and connections limited, as when they
  // began. Names, TLS and the access log stay what they were.
  void Reconfigure(const Options& options);

  // Shown as "extra" in the state of the dashboard; see admin_subject.h.
  void SetExtraState(Function<std::string()> json);

  // Refuses new clients; every connection is closed politely after the request in progress. `done`
  // runs when the last has gone. The admin server goes on.
  void Drain(Function<void()> done);

  void Stop();

 private:
  AdminServer& Admin();
  void MakeServers(uint64_t seed);
  void SendCheck(const Dispatcher::Check& check);
  void OnDrained(EndpointId id);
  void Sample();
  void SampleModels(Instant now);
  void AskForModels(const std::vector<Dispatcher::EndpointStatus>& endpoints);

  std::vector<env::EventLoop*> loops_;
  Options options_;
  const WallTime started_;
  std::shared_ptr<Pool> pool_;
  std::shared_ptr<ProxyHandler::Shared> shared_;
  std::unique_ptr<HealthProbe> probe_;
  std::unique_ptr<ModelProbe> models_;
  std::unique_ptr<net::HttpServer> server_;
  std::unique_ptr<net::HttpServer> tls_server_;  // With the same handlers.
  int draining_ = 0;
  std::unique_ptr<AdminServer> admin_server_;
  std::map<EndpointId, std::vector<Function<void()>>> on_drained_;
  std::map<EndpointId, TrafficWindow> windows_;
  TrafficWindow window_;
  std::vector<RateWindow> model_windows_;  // By number less 1.
  env::EventLoop::TimerId sample_timer_ = 0;
  bool stopped_ = false;
};

}  // namespace tepal::lb
