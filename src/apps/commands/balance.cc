// tepal balance: the balancer alone, in front of any servers that speak HTTP or gRPC.
//
// The main thread's loop serves clients, the admin API and the signals; more loops serve clients.
// On SIGTERM every connection is closed politely after the request in progress; a second signal, or
// the drain time, ends the rest.

#include <sched.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "apps/commands/certificate_watch.h"
#include "apps/commands/commands.h"
#include "balancing/load_balancer/balancer.h"
#include "core/base/text.h"
#include "core/options/flags.h"
#include "core/options/values.h"
#include "core/runtime/runtime.h"
#include "core/runtime/worker_threads.h"
#include "core/telemetry/log.h"
#include "network/net/resolver.h"

namespace tepal::commands {
namespace {

constexpr int kThreadsMax = 8;
constexpr uint16_t kEndpointPort = 8000;

struct BalanceFlags {
  std::vector<std::string> listen;
  std::vector<std::string> listen_tls;
  net::TlsSource::ServerFiles client_tls;
  bool endpoint_tls_on = false;
  net::TlsSource::ClientFiles endpoint_tls;
  Duration tls_reload_interval = 10s;
  std::string admin = "127.0.0.1:8080";
  std::vector<std::string> endpoints;
  std::string policy = "least_outstanding";
  int threads = 0;
  Duration drain_time_max = 30s;
  uint64_t in_flight_max = 0;
  uint64_t queue_size_max = 1024;
  bool verbose = false;
  lb::Balancer::Options balancer;
};

options::FlagSet Flags(BalanceFlags& flags) {
  lb::Balancer::Options& balancer = flags.balancer;
  options::FlagSet set("tepal balance --endpoint HOST:PORT [FLAGS]",
                       "Spreads HTTP requests and gRPC calls over servers that come and go, so "
                       "that no client notices. A dashboard is on the admin address.");
  set.Add("listen", &flags.listen,
          "address for clients (default 0.0.0.0:80); HTTP/1.1, HTTP/2 and gRPC share each");
  set.Add(
      "admin", &flags.admin,
      "address of the dashboard, the admin API and /metrics; \"none\" for none. Whoever reaches "
      "it may change the endpoints");
  set.Add("endpoint", &flags.endpoints,
          "a server, as HOST:PORT[,grpc=PORT][,weight=N][,max=N][,name=TEXT][,slow-start=TIME]"
          "[,backup]; every address of a name is one. gRPC calls go to the port grpc, or to PORT. "
          "More can be added through the "
          "admin API");
  set.Add("upstream", &balancer.upstream, "the pool's name in the admin API");
  set.Add("threads", &flags.threads, "event loops; 0: one for each core, at most 8");
  set.Group("Choice");
  set.Add("policy", &flags.policy, std::string(lb::kChoicePolicies));
  set.Add("endpoint-in-flight-max", &flags.in_flight_max,
          "requests at a time for each endpoint, the rest waits; 0: no limit");
  set.Add("queue-size-max", &flags.queue_size_max, "requests that may wait for an endpoint");
  set.Add("queue-time-max", &balancer.pool.queue_time_max, "how long a request may wait");
  set.Group("Health");
  set.Add("health-check", &balancer.pool.health.enabled, "check endpoints actively");
  set.Add("health-path", &balancer.pool.health.path, "GET this; status 200 passes");
  set.Add("health-interval", &balancer.pool.health.interval, "from one check to the next");
  set.Add("health-time-max", &balancer.pool.health.time_max, "a check without answer fails then");
  set.Add("ejection", &balancer.pool.ejection.enabled,
          "leave endpoints out for a while whose requests fail");
  set.Group("Retries (docs/retries.md)");
  set.Add("try-time-max", &balancer.proxy.try_time_max,
          "how long one endpoint may take to begin its answer");
  set.Add("allow-replica-changes", &balancer.proxy.allow_changes,
          "pass on requests that change one replica of many (load, unload, shared memory)");
  set.Group("TLS (certificates are loaded again when they change, and on SIGHUP)");
  set.Add("listen-tls", &flags.listen_tls, "address for clients that speak TLS");
  set.Add("tls-cert", &flags.client_tls.certificate_chain, "certificate chain for --listen-tls");
  set.Add("tls-key", &flags.client_tls.key, "its key");
  set.Add("tls-client-ca", &flags.client_tls.client_ca,
          "clients must show a certificate that this one has signed");
  set.Add("endpoint-tls", &flags.endpoint_tls_on, "speak TLS to the endpoints");
  set.Add("endpoint-tls-ca", &flags.endpoint_tls.ca,
          "trust the certificates that this one has signed; the system's without it");
  set.Add("endpoint-tls-verify", &flags.endpoint_tls.verify_server,
          "false: take any certificate of an endpoint");
  set.Add("endpoint-tls-name", &flags.endpoint_tls.server_name,
          "the name in the endpoints' certificates, sent as SNI; their address without it");
  set.Add("endpoint-tls-cert", &flags.endpoint_tls.certificate_chain,
          "certificate that is shown to the endpoints");
  set.Add("endpoint-tls-key", &flags.endpoint_tls.key, "its key");
  set.Add("tls-reload-interval", &flags.tls_reload_interval,
          "how often to look whether certificates have changed; 0: on SIGHUP only");
  set.Group("Process");
  set.Add("drain-time-max", &flags.drain_time_max, "how long requests in progress have at a stop");
  set.Add("verbose", &flags.verbose, "log every retry");
  set.Example("tepal balance --listen 0.0.0.0:80 --endpoint 10.0.0.1:8000 --endpoint 10.0.0.2:8000",
              "two servers behind port 80; the dashboard is on http://127.0.0.1:8080/");
  set.Example("tepal balance --listen 127.0.0.1:9000 --endpoint tritons.default.svc:8000",
              "every server that the name stands for");
  return set;
}

Status ReadEndpointOption(std::string_view option, lb::EndpointSpec& spec) {
  const size_t equals = option.find('=');
  const std::string_view name = option.substr(0, equals);
  const std::string_view value =
      equals == std::string_view::npos ? std::string_view() : option.substr(equals + 1);
  if (name == "name") {
    spec.name = value;
    return {};
  }
  if (name == "grpc") {
    const auto port = ParseNumber<uint16_t>(value);
    if (port.value_or(0) == 0) {
      return InvalidArgument(Concat("'", option, "', expected grpc=PORT (1 to 65535)"));
    }
    spec.grpc_address.emplace().port = *port;
    return {};
  }
  if (option == "backup") {
    spec.backup = true;
    return {};
  }
  if (name == "slow-start") {
    const auto time = options::ParseDuration(value);
    if (!time.has_value()) {
      return InvalidArgument(Concat("'", option, "', expected ", options::kDurationExpected));
    }
    spec.slow_start = *time;
    return {};
  }
  const auto number = ParseNumber<uint32_t>(value);
  if (name == "weight" && number.value_or(0) > 0) {
    spec.weight = *number;
  } else if (name == "max" && number.has_value()) {
    spec.in_flight_max = *number;
  } else {
    return InvalidArgument(Concat("'", option,
                                  "', expected grpc=PORT, weight=N (from 1), max=N, name=TEXT, "
                                  "slow-start=TIME or backup"));
  }
  return {};
}

// Every address of one --endpoint.
Result<std::vector<lb::EndpointSpec>> ReadEndpoint(std::string_view text,
                                                   const BalanceFlags& flags) {
  const std::vector<std::string_view> parts = Split(text, ',');
  lb::EndpointSpec spec;
  spec.in_flight_max = static_cast<uint32_t>(flags.in_flight_max);
  for (size_t i = 1; i < parts.size(); ++i) RETURN_IF_ERROR(ReadEndpointOption(parts[i], spec));
  ASSIGN_OR_RETURN(const net::HostPort name, net::HostPort::Parse(parts[0], kEndpointPort));
  ASSIGN_OR_RETURN(const std::vector<env::Address> addresses, net::ResolveBlocking(name));
  std::vector<lb::EndpointSpec> specs;
  for (const env::Address& address : addresses) {
    specs.push_back(spec);
    specs.back().address = address;
    if (spec.grpc_address.has_value()) {
      specs.back().grpc_address = address;
      specs.back().grpc_address->port = spec.grpc_address->port;
    }
  }
  return specs;
}

Status CheckFlags(BalanceFlags& flags) {
  ASSIGN_OR_RETURN(flags.balancer.pool.policy, lb::ParseChoicePolicy(flags.policy));
  if (flags.threads < 0) return InvalidArgument("--threads must not be negative");
  if (flags.in_flight_max > UINT32_MAX || flags.queue_size_max > UINT32_MAX) {
    return InvalidArgument(Concat("the largest count is ", UINT32_MAX));
  }
  flags.balancer.pool.queue_size_max = static_cast<uint32_t>(flags.queue_size_max);
  if (flags.listen.empty() && flags.listen_tls.empty()) flags.listen = {"0.0.0.0:80"};
  const bool has_certificate =
      !flags.client_tls.certificate_chain.empty() && !flags.client_tls.key.empty();
  if (!flags.listen_tls.empty() && !has_certificate) {
    return InvalidArgument("--listen-tls needs --tls-cert and --tls-key");
  }
  const net::TlsSource::ClientFiles& endpoint = flags.endpoint_tls;
  if (!flags.endpoint_tls_on &&
      !Concat(endpoint.ca, endpoint.server_name, endpoint.certificate_chain, endpoint.key)
           .empty()) {
    return InvalidArgument("--endpoint-tls-... is of no use without --endpoint-tls");
  }
  return lb::Balancer::Validate(flags.balancer);
}

int ThreadCount(int asked) {
  if (asked > 0) return asked;
  cpu_set_t set;
  const int cores = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
  return std::clamp(cores, 1, kThreadsMax);
}

class BalanceProcess {
 public:
  explicit BalanceProcess(BalanceFlags& flags) : flags_(flags) {}

  Status Start() {
    telemetry::LogSettings log = telemetry::GetLogSettings();
    log.verbose_level = flags_.verbose ? 1 : 0;
    RETURN_IF_ERROR(telemetry::SetLogSettings(log));
    ASSIGN_OR_RETURN(loop_, runtime::EpollLoop::New());
    const bool tls = !flags_.listen_tls.empty() || flags_.endpoint_tls_on;
    std::vector<int> signals = {SIGTERM, SIGINT};
    // Without certificates a hang-up ends the process, as it does most.
    if (tls) signals.push_back(SIGHUP);
    RETURN_IF_ERROR(loop_->WatchSignals(signals, [this](int signal) { OnSignal(signal); }));
    if (tls) RETURN_IF_ERROR(OpenCertificates());
    std::vector<env::EventLoop*> loops = {loop_.get()};
    if (const int more = ThreadCount(flags_.threads) - 1; more > 0) {
      ASSIGN_OR_RETURN(threads_, runtime::LoopThreads::Start("balance", more));
      for (env::EventLoop* loop : threads_->loops()) loops.push_back(loop);
    }
    std::vector<lb::EndpointSpec> endpoints;
    for (const std::string& text : flags_.endpoints) {
      auto specs = ReadEndpoint(text, flags_).WithContext(Concat("--endpoint ", text));
      if (!specs.ok()) return specs.status();
      endpoints.insert(endpoints.end(), specs->begin(), specs->end());
    }
    balancer_ = std::make_unique<lb::Balancer>(loops, flags_.balancer, runtime::RandomSeed());
    RETURN_IF_ERROR(Listen());
    for (lb::EndpointSpec& spec : endpoints) (void)balancer_->AddEndpoint(std::move(spec));
    return {};
  }

  int Run() {
    loop_->Run();
    balancer_.reset();
    return exit_code_;
  }

 private:
  Status OpenCertificates() {
    blocking_ = runtime::NewThreadPool("blocking", 1);
    certificates_ = std::make_unique<CertificateWatch>(
        CertificateWatch::World{*loop_, *blocking_, runtime::SystemFileSystem()},
        flags_.tls_reload_interval);
    if (!flags_.listen_tls.empty()) {
      const net::TlsSource::ServerFiles& files = flags_.client_tls;
      std::vector<std::string> paths = {files.certificate_chain, files.key};
      if (!files.client_ca.empty()) paths.push_back(files.client_ca);
      ASSIGN_OR_RETURN(flags_.balancer.client_tls,
                       certificates_->Add("--listen-tls", std::move(paths), [files] {
                         return net::TlsSource::ForServer(runtime::SystemFileSystem(),
                                                          runtime::SystemClock(), files);
                       }));
    }
    if (flags_.endpoint_tls_on) {
      const net::TlsSource::ClientFiles& files = flags_.endpoint_tls;
      std::vector<std::string> paths;
      for (const std::string& path : {files.ca, files.certificate_chain, files.key}) {
        if (!path.empty()) paths.push_back(path);
      }
      ASSIGN_OR_RETURN(flags_.balancer.proxy.client.tls,
                       certificates_->Add("--endpoint-tls", std::move(paths), [files] {
                         return net::TlsSource::ForClient(runtime::SystemFileSystem(),
                                                          runtime::SystemClock(), files);
                       }));
    }
    certificates_->Start();
    return {};
  }

  Status Listen() {
    for (const std::string& text : flags_.listen) {
      ASSIGN_OR_RETURN(const env::Address address, env::Address::Parse(text));
      ASSIGN_OR_RETURN(const env::Address bound, balancer_->Listen(address));
      telemetry::LogInfo(Concat("Balancing HTTP and gRPC at ", bound.ToString()));
    }
    for (const std::string& text : flags_.listen_tls) {
      ASSIGN_OR_RETURN(const env::Address address, env::Address::Parse(text));
      ASSIGN_OR_RETURN(const env::Address bound, balancer_->ListenTls(address));
      telemetry::LogInfo(Concat("Balancing HTTP and gRPC over TLS at ", bound.ToString()));
    }
    if (flags_.admin == "none") return {};
    ASSIGN_OR_RETURN(const env::Address address, env::Address::Parse(flags_.admin));
    ASSIGN_OR_RETURN(const env::Address bound, balancer_->ListenAdmin(address));
    telemetry::LogInfo(Concat("Dashboard at http://", bound.ToString(), "/"));
    return {};
  }

  void OnSignal(int signal) {
    if (signal == SIGHUP) return certificates_->ReloadNow();
    if (++signals_ > 1) return Stop(1);
    telemetry::LogInfo("Stopping: finishing the requests in progress; again to stop at once");
    balancer_->Drain([this] { Stop(0); });
    loop_->RunAfter(flags_.drain_time_max, [this] {
      telemetry::LogWarning("Requests were still in progress at the end of --drain-time-max");
      Stop(1);
    });
  }

  void Stop(int exit_code) {
    exit_code_ = exit_code;
    loop_->Stop();
  }

  BalanceFlags& flags_;
  std::unique_ptr<runtime::EpollLoop> loop_;
  std::unique_ptr<env::Executor> blocking_;
  std::unique_ptr<CertificateWatch> certificates_;
  std::unique_ptr<runtime::LoopThreads> threads_;
  std::unique_ptr<lb::Balancer> balancer_;
  int signals_ = 0;
  int exit_code_ = 0;
};

}  // namespace

int RunBalance(Arguments arguments) {
  BalanceFlags flags;
  options::FlagSet set = Flags(flags);
  std::vector<std::string> rest;
  if (const auto exit_code = options::ParseOrExplain(set, arguments, rest)) return *exit_code;
  Status status = CheckFlags(flags);
  if (status.ok() && !rest.empty()) {
    status = InvalidArgument(Concat("unexpected word '", rest[0], "'"));
  }
  BalanceProcess process(flags);
  const bool usage = !status.ok();
  if (!usage) status = process.Start();
  if (!status.ok()) {
    std::fprintf(stderr, "tepal balance: %s\n", status.message().c_str());
    return usage || status.code() == StatusCode::kInvalidArgument ? 2 : 1;
  }
  return process.Run();
}

}  // namespace tepal::commands
