// tepal balance: the balancer alone, in front of any servers that speak HTTP or gRPC.
//
// The main thread's loop serves clients, the admin API and the signals; more loops serve clients.
// On SIGHUP the configuration is read again, on SIGUSR1 the access log is opened again. On SIGTERM
// every connection is closed politely after the request in progress; a second signal, or the drain
// time, ends the rest.

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "apps/commands/balance_flags.h"
#include "apps/commands/certificate_watch.h"
#include "apps/commands/cluster_access_files.h"
#include "apps/commands/commands.h"
#include "balancing/gateway/gateway.h"
#include "core/base/text.h"
#include "core/options/flags.h"
#include "core/runtime/line_writer.h"
#include "core/runtime/runtime.h"
#include "core/runtime/worker_threads.h"
#include "core/telemetry/log.h"
#include "network/net/resolver.h"

namespace tepal::commands {
namespace {

constexpr int kThreadsByDefaultMax = 8;

int ThreadCount(int asked) {
  if (asked > 0) return asked;
  cpu_set_t set;
  const int cores = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
  return std::clamp(cores, 1, kThreadsByDefaultMax);
}

// Empty when there is none.
std::string ResolvConf() {
  const auto text = runtime::SystemFileSystem().Read("/etc/resolv.conf", 1 << 16);
  return text.ok() ? *text : std::string();
}

// Empty when it has none.
std::string HostName() {
  char name[HOST_NAME_MAX + 1] = "";
  return gethostname(name, sizeof(name) - 1) == 0 ? name : "";
}

class AccessLogFile final : public lb::LineSink {
 public:
  explicit AccessLogFile(std::unique_ptr<runtime::LineWriter> writer)
      : writer_(std::move(writer)) {}
  bool Write(std::string line) override { return writer_->Write(std::move(line)); }
  runtime::LineWriter& writer() { return *writer_; }

 private:
  const std::unique_ptr<runtime::LineWriter> writer_;
};

class BalanceProcess {
 public:
  BalanceProcess(const BalanceFlags& flags, gateway::GatewayConfig config)
      : flags_(flags), config_(std::move(config)) {}

  Status Start() {
    telemetry::LogSettings log = telemetry::GetLogSettings();
    log.verbose_level = flags_.verbose ? 1 : 0;
    RETURN_IF_ERROR(telemetry::SetLogSettings(log));
    ASSIGN_OR_RETURN(loop_, runtime::EpollLoop::New());
    RETURN_IF_ERROR(loop_->WatchSignals({SIGTERM, SIGINT, SIGHUP, SIGUSR1},
                                        [this](int signal) { OnSignal(signal); }));
    std::vector<env::EventLoop*> loops = {loop_.get()};
    if (const int more = ThreadCount(config_.threads) - 1; more > 0) {
      ASSIGN_OR_RETURN(threads_, runtime::LoopThreads::Start("balance", more));
      for (env::EventLoop* loop : threads_->loops()) loops.push_back(loop);
    }
    executor_ = runtime::NewThreadPool("blocking", 1);
    resolver_ = net::NewResolver(*executor_);
    certificates_ = std::make_unique<CertificateWatch>(
        CertificateWatch::World{*loop_, *executor_, runtime::SystemFileSystem()},
        config_.tls_reload_interval);
    if (config_.access_log != "off") {
      ASSIGN_OR_RETURN(std::unique_ptr<runtime::LineWriter> writer,
                       runtime::LineWriter::New(config_.access_log).WithContext("access log"));
      access_log_ = std::make_shared<AccessLogFile>(std::move(writer));
    }
    gateway_ = std::make_unique<gateway::Gateway>(
        gateway::Gateway::World{loops,
                                *resolver_,
                                *executor_,
                                runtime::SystemFileSystem(),
                                runtime::RandomSeed(),
                                ResolvConf(),
                                [this](const gateway::PoolConfig& pool) { return OpenTls(pool); },
                                access_log_,
                                [this](const gateway::KubeConfig& kube) { return OpenKube(kube); },
                                [this](const net::TlsSource::ServerFiles& files) {
                                  return OpenServerTls("the admin server", files);
                                },
                                [this](const net::TlsSource::ClientFiles& files) {
                                  return OpenClientTls("the fleet", files);
                                },
                                {HostName(), Concat(runtime::RandomSeed())}},
        std::move(config_));
    if (access_log_ != nullptr) {
      gateway_->admin().metrics.Add([log = access_log_](telemetry::PrometheusWriter& writer) {
        writer.Family("tepal_balancer_access_log_dropped_total",
                      "Lines of the access log that were dropped, because the file is too slow.",
                      telemetry::PrometheusWriter::Type::kCounter);
        writer.Sample({}, log->writer().dropped());
      });
    }
    if (!flags_.file().empty()) {
      gateway_->admin().reload = [this](Function<void(Result<std::string>)> done) {
        Reload(std::move(done));
      };
    }
    RETURN_IF_ERROR(gateway_->Start(&net::ResolveBlocking));
    certificates_->Start();
    Greet();
    return {};
  }

  int Run() {
    loop_->Run();
    gateway_.reset();
    return exit_code_;
  }

 private:
  Result<gateway::PoolTls> OpenTls(const gateway::PoolConfig& pool) {
    gateway::PoolTls tls;
    if (pool.client_tls.has_value()) {
      ASSIGN_OR_RETURN(tls.clients,
                       OpenServerTls(Concat(pool.name, ", clients"), *pool.client_tls));
    }
    if (pool.endpoint_tls.has_value()) {
      ASSIGN_OR_RETURN(tls.endpoints,
                       OpenClientTls(Concat(pool.name, ", endpoints"), *pool.endpoint_tls));
    }
    return tls;
  }

  Result<std::shared_ptr<net::TlsSource>> OpenServerTls(std::string name,
                                                        const net::TlsSource::ServerFiles& files) {
    std::vector<std::string> paths = {files.certificate_chain, files.key};
    if (!files.client_ca.empty()) paths.push_back(files.client_ca);
    return certificates_->Add(std::move(name), std::move(paths), [files] {
      return net::TlsSource::ForServer(runtime::SystemFileSystem(), runtime::SystemClock(), files);
    });
  }

  Result<std::shared_ptr<net::TlsSource>> OpenClientTls(std::string name,
                                                        const net::TlsSource::ClientFiles& files) {
    std::vector<std::string> paths;
    for (const std::string& path : {files.ca, files.certificate_chain, files.key}) {
      if (!path.empty()) paths.push_back(path);
    }
    return certificates_->Add(std::move(name), std::move(paths), [files] {
      return net::TlsSource::ForClient(runtime::SystemFileSystem(), runtime::SystemClock(), files);
    });
  }

  Result<std::unique_ptr<kube::Client>> OpenKube(const gateway::KubeConfig& config) {
    ASSIGN_OR_RETURN(kube::ClusterAccess access,
                     ReadClusterAccess(config.kubeconfig, config.context));
    return kube::Client::New(*loop_,
                             {runtime::SystemFileSystem(), runtime::SystemClock(), *resolver_},
                             std::move(access), {.user_agent = "tepal-balance"});
  }

  void Greet() {
    for (const gateway::Gateway::Bound& bound : gateway_->bound()) {
      const std::string address = bound.address.ToString();
      const std::string_view scheme = bound.tls ? "https://" : "http://";
      telemetry::LogInfo(bound.pool.empty() ? Concat("Dashboard at ", scheme, address, "/")
                                            : Concat("Balancing HTTP and gRPC ",
                                                     bound.tls ? "over TLS at " : "at ", address));
    }
  }

  void Reload(Function<void(Result<std::string>)> done) {
    Result<gateway::GatewayConfig> next = ReadBalanceFile(flags_);
    if (!next.ok()) {
      loop_->Post([done = std::move(done), why = next.status()]() mutable { done(why); });
      return;
    }
    gateway_->Reload(*std::move(next), std::move(done));
  }

  void OnHangUp() {
    certificates_->ReloadNow();
    if (flags_.file().empty()) return;
    Reload([](Result<std::string> applied) {
      if (applied.ok()) return;
      telemetry::LogError(
          Concat("The configuration stays as it was: ", applied.status().message()));
    });
  }

  void OnSignal(int signal) {
    if (signal == SIGHUP) return OnHangUp();
    if (signal == SIGUSR1) {
      if (access_log_ != nullptr) access_log_->writer().Reopen();
      return;
    }
    if (++signals_ > 1) return Stop(1);
    telemetry::LogInfo("Stopping: finishing the requests in progress; again to stop at once");
    gateway_->Drain([this] { Stop(0); });
    loop_->RunAfter(gateway_->config().drain_time_max, [this] {
      telemetry::LogWarning("Requests were still in progress at the end of drain_time_max");
      Stop(1);
    });
  }

  void Stop(int exit_code) {
    exit_code_ = exit_code;
    loop_->Stop();
  }

  const BalanceFlags& flags_;
  gateway::GatewayConfig config_;
  std::unique_ptr<runtime::EpollLoop> loop_;
  std::unique_ptr<runtime::LoopThreads> threads_;
  std::unique_ptr<env::Executor> executor_;
  std::unique_ptr<net::Resolver> resolver_;
  std::unique_ptr<CertificateWatch> certificates_;
  std::shared_ptr<AccessLogFile> access_log_;  // May be null.
  std::unique_ptr<gateway::Gateway> gateway_;
  int signals_ = 0;
  int exit_code_ = 0;
};

int Fail(const Status& status, bool usage) {
  std::fprintf(stderr, "tepal balance: %s\n", status.message().c_str());
  return usage || status.code() == StatusCode::kInvalidArgument ? 2 : 1;
}

}  // namespace

int RunBalance(Arguments arguments) {
  BalanceFlags flags;
  options::FlagSet set = MakeBalanceFlags(flags);
  std::vector<std::string> rest;
  if (const auto exit_code = options::ParseOrExplain(set, arguments, rest)) return *exit_code;
  if (!rest.empty()) return Fail(InvalidArgument(Concat("unexpected word '", rest[0], "'")), true);
  Result<gateway::GatewayConfig> config = ReadBalanceConfig(set, flags);
  if (!config.ok()) return Fail(config.status(), true);
  if (flags.check) {
    std::printf(
        "%s\n",
        Concat(flags.file().empty() ? "the flags are" : flags.file() + " is", " right").c_str());
    return 0;
  }
  BalanceProcess process(flags, *std::move(config));
  if (const Status status = process.Start(); !status.ok()) return Fail(status, false);
  return process.Run();
}

}  // namespace tepal::commands
