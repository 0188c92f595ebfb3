// tepal metrics-api: the metrics APIs of Kubernetes, for the HorizontalPodAutoscaler.
//
// One loop has it all: the door, the API server's client, the sources. Blocking work (names, files
// of certificates) has a thread of its own. On SIGTERM /readyz fails, everything is served for a
// while so that nobody finds a closed door, then connections are closed politely.

#include "apps/commands/metrics_api.h"

#include <csignal>
#include <cstdio>
#include <map>

#include "apps/commands/certificate_watch.h"
#include "apps/commands/cluster_access_files.h"
#include "apps/commands/serving_certificate.h"
#include "core/base/text.h"
#include "core/runtime/runtime.h"
#include "core/telemetry/log.h"
#include "network/net/http_server.h"
#include "scaling/custom_metrics/api_server.h"
#include "scaling/custom_metrics/api_service_keeper.h"
#include "scaling/custom_metrics/trust_watch.h"

namespace tepal::commands {
namespace {

namespace cm = custom_metrics;

constexpr Duration kTrustFilesInterval = 30s;
constexpr Duration kIdleMax = 180s;  // Longer than a client of ours keeps a connection.

// What the flags say about whom to trust; reads their files.
Result<cm::TrustConfig> TrustOfFlags(const MetricsApiFlags& flags) {
  cm::TrustConfig trust;
  for (const auto& [path, into] :
       {std::pair{&flags.client_ca_file, &trust.client_ca},
        std::pair{&flags.requestheader_ca_file, &trust.requestheader_ca}}) {
    if (path->empty()) continue;
    ASSIGN_OR_RETURN(net::Pem pem, net::ReadPem(runtime::SystemFileSystem(), *path));
    *into = std::move(pem.text);
  }
  trust.allowed_names = flags.requestheader_names;
  trust.username_headers = flags.requestheader_username;
  trust.group_headers = flags.requestheader_group;
  trust.extra_prefixes = flags.requestheader_extra;
  trust.uid_headers = flags.requestheader_uid;
  if (flags.authentication_skip_lookup) {
    // Nobody else says them then.
    if (trust.username_headers.empty()) trust.username_headers = {"x-remote-user"};
    if (trust.group_headers.empty()) trust.group_headers = {"x-remote-group"};
    if (trust.extra_prefixes.empty()) trust.extra_prefixes = {"x-remote-extra-"};
    if (trust.uid_headers.empty()) trust.uid_headers = {"x-remote-uid"};
  }
  return trust;
}

class MetricsApiProcess {
 public:
  MetricsApiProcess(MetricsApiFlags flags, SourceMaker source)
      : flags_(std::move(flags)), source_maker_(source), random_(runtime::RandomSeed()) {}

  Status Start() {
    telemetry::LogSettings log = telemetry::GetLogSettings();
    // klog's levels begin where ours do not: 4 and more is for looking at single requests.
    log.verbose_level = flags_.verbose >= 4 ? flags_.verbose - 3 : 0;
    RETURN_IF_ERROR(telemetry::SetLogSettings(log));
    ASSIGN_OR_RETURN(loop_, runtime::EpollLoop::New());
    RETURN_IF_ERROR(
        loop_->WatchSignals({SIGTERM, SIGINT, SIGHUP}, [this](int signal) { OnSignal(signal); }));
    executor_ = runtime::NewThreadPool("blocking", 1);
    resolver_ = net::NewResolver(*executor_);
    ASSIGN_OR_RETURN(kube::Client* const client, ClientOf(flags_.kubeconfig));
    ASSIGN_OR_RETURN(
        source_, source_maker_.make({*loop_, runtime::SystemFileSystem(), runtime::SystemClock(),
                                     *resolver_, random_, *client, kinds_},
                                    flags_));
    RETURN_IF_ERROR(StartIdentities());
    objects_ = std::make_unique<cm::ObjectDirectory>(
        *loop_, *client, random_,
        cm::ObjectDirectory::Options{.count_starting_pods = flags_.count_starting_pods});
    objects_->Start();
    RETURN_IF_ERROR(OpenDoor());
    return StartApiServices(*client);
  }

  int Run() {
    loop_->Run();
    if (server_ != nullptr) server_->Stop();
    return exit_code_;
  }

 private:
  // One for each kubeconfig; each has its own connections.
  Result<kube::Client*> ClientOf(const std::string& kubeconfig) {
    std::unique_ptr<kube::Client>& client = clients_[kubeconfig];
    if (client != nullptr) return client.get();
    ASSIGN_OR_RETURN(kube::ClusterAccess access, ReadClusterAccess(kubeconfig));
    ASSIGN_OR_RETURN(
        client,
        kube::Client::New(*loop_, {runtime::SystemFileSystem(), runtime::SystemClock(), *resolver_},
                          std::move(access),
                          {.user_agent = "tepal-metrics-api", .request_time_max = 10s}));
    return client.get();
  }
  const std::string& Chosen(const std::string& kubeconfig) const {
    return kubeconfig.empty() ? flags_.kubeconfig : kubeconfig;
  }

  Status StartIdentities() {
    ASSIGN_OR_RETURN(kube::Client* const authentication,
                     ClientOf(Chosen(flags_.authentication_kubeconfig)));
    ASSIGN_OR_RETURN(kube::Client* const authorization,
                     ClientOf(Chosen(flags_.authorization_kubeconfig)));
    trust_ = std::make_unique<cm::TrustWatch>(
        *loop_, flags_.authentication_skip_lookup ? nullptr : authentication, random_);
    ASSIGN_OR_RETURN(cm::TrustConfig trust, TrustOfFlags(flags_));
    RETURN_IF_ERROR(trust_->Start(std::move(trust)));
    WatchTrustFiles();
    token_reviews_ = std::make_unique<cm::Reviews>(*loop_, *authentication, cm::Reviews::Options{});
    access_reviews_ = std::make_unique<cm::Reviews>(*loop_, *authorization, cm::Reviews::Options{});
    authenticator_ = std::make_unique<cm::DelegatingAuthenticator>(
        cm::DelegatingAuthenticator::World{*loop_, [this] { return trust_->Get(); },
                                           token_reviews_.get()},
        cm::DelegatingAuthenticator::Options{.token_keep = flags_.token_keep});
    authorizer_ = std::make_unique<cm::DelegatingAuthorizer>(
        *loop_, *access_reviews_,
        cm::DelegatingAuthorizer::Options{flags_.allowed_keep, flags_.denied_keep,
                                          flags_.always_allowed});
    return {};
  }

  // They are small and rarely there: read on the loop.
  void WatchTrustFiles() {
    if (flags_.client_ca_file.empty() && flags_.requestheader_ca_file.empty()) return;
    loop_->RunAfter(kTrustFilesInterval, [this] {
      ReadTrustFiles();
      WatchTrustFiles();
    });
  }
  void ReadTrustFiles() {
    Result<cm::TrustConfig> trust = TrustOfFlags(flags_);
    const Status status = trust.ok() ? trust_->SetFlags(*std::move(trust)) : trust.status();
    if (!status.ok()) telemetry::LogError(Concat("What was trusted stays: ", status.message()));
  }

  Status OpenCertificate() {
    certificates_ = std::make_unique<CertificateWatch>(
        CertificateWatch::World{*loop_, *executor_, runtime::SystemFileSystem()},
        flags_.tls_reload_interval);
    CertificateWish wish{
        flags_.tls_cert_file, flags_.tls_key_file, flags_.cert_dir, {"localhost"}, {"127.0.0.1"}};
    if (!flags_.api_service_name.empty()) {
      const std::string name =
          Concat(flags_.api_service_name, ".", flags_.api_service_namespace, ".svc");
      wish.names = {name, flags_.api_service_name, "localhost"};
    }
    ASSIGN_OR_RETURN(certificate_,
                     OpenServingCertificate(runtime::SystemFileSystem(), runtime::SystemClock(),
                                            *certificates_, wish));
    if (certificate_.made) telemetry::LogInfo("Made a certificate that signs itself");
    certificates_->Start();
    return {};
  }

  Status OpenDoor() {
    RETURN_IF_ERROR(OpenCertificate());
    api_ = std::make_unique<cm::ApiServer>(
        cm::ApiServer::World{*loop_, *authenticator_, *authorizer_, *objects_, *source_, metrics_},
        cm::ApiServer::Options{.external = flags_.external,
                               .version = TEPAL_VERSION,
                               .requests_max = flags_.requests_max});
    api_->AddReadyCheck("authentication", [this] { return trust_->Health(); });
    net::HttpServer::Options options;
    options.tls = certificate_.tls;
    options.limits.body_bytes_max = 1 << 20;
    options.limits.idle_max = kIdleMax;
    options.limits.streams_max = flags_.streams_max;
    // The API server's client pings every 30 s.
    options.limits.ping_strikes_max = 0;
    server_ =
        std::make_unique<net::HttpServer>(std::vector<env::EventLoop*>{loop_.get()}, options,
                                          [this](env::EventLoop&) { return api_->NewHandler(); });
    const bool ip6 = flags_.bind_address.find(':') != std::string::npos;
    const env::Address address{ip6 ? env::Address::Family::kIp6 : env::Address::Family::kIp4,
                               flags_.bind_address, flags_.secure_port};
    ASSIGN_OR_RETURN(const env::Address bound, server_->Listen(address));
    telemetry::LogInfo(Concat("Metrics API at https://", bound.ToString()));
    return {};
  }

  Status StartApiServices(kube::Client& client) {
    if (flags_.api_service_name.empty()) return {};
    std::string authority = certificate_.authority;
    if (!flags_.api_service_ca_file.empty()) {
      ASSIGN_OR_RETURN(net::Pem pem,
                       net::ReadPem(runtime::SystemFileSystem(), flags_.api_service_ca_file));
      authority = std::move(pem.text);
    }
    std::vector<cm::ApiServiceWish> wishes;
    for (const std::string_view group : {cm::kCustomGroup, cm::kExternalGroup}) {
      if (group == cm::kExternalGroup && !flags_.external) continue;
      for (const std::string_view version : cm::VersionsOf(group)) {
        cm::ApiServiceWish wish;
        wish.group = group;
        wish.version = version;
        wish.name_space = flags_.api_service_namespace;
        wish.service = flags_.api_service_name;
        wish.ca = authority;
        wish.register_missing = flags_.register_api_services;
        wish.take_over = flags_.take_over_api_services;
        wishes.push_back(std::move(wish));
      }
    }
    keeper_ = std::make_unique<cm::ApiServiceKeeper>(*loop_, client, std::move(wishes),
                                                     cm::ApiServiceKeeper::Options{});
    keeper_->Start([this](const std::string&) {
      // The log has it. Later, when somebody takes ours, there is still this server to be found.
      if (api_->counts().answers.contains(200)) return;
      telemetry::LogError("Ending: the metrics API of this cluster is somebody else's");
      Stop(1);
    });
    return {};
  }

  void OnSignal(int signal) {
    if (signal == SIGHUP) {
      if (certificates_ != nullptr) certificates_->ReloadNow();
      if (trust_ != nullptr) ReadTrustFiles();
      return;
    }
    switch (++signals_) {
      case 1:
        telemetry::LogInfo(Concat("Stopping: not ready from now on; serving for ",
                                  ToSeconds(flags_.shutdown_delay), " s more"));
        if (api_ != nullptr) api_->BeginShutdown();
        drain_timer_ = loop_->RunAfter(flags_.shutdown_delay, [this] { Drain(); });
        return;
      case 2:
        loop_->Cancel(drain_timer_);
        return Drain();
      default:
        return Stop(1);
    }
  }

  void Drain() {
    if (server_ == nullptr) return Stop(0);
    server_->Drain([this] { Stop(0); });
    loop_->RunAfter(flags_.drain_time_max, [this] {
      telemetry::LogWarning("Requests were still in progress at the end of the grace period");
      Stop(1);
    });
  }

  void Stop(int exit_code) {
    exit_code_ = exit_code;
    loop_->Stop();
  }

  const MetricsApiFlags flags_;
  const SourceMaker source_maker_;
  env::SeededRandom random_;
  const cm::KindTable kinds_;
  telemetry::MetricsRegistry metrics_;
  std::unique_ptr<runtime::EpollLoop> loop_;
  std::unique_ptr<env::Executor> executor_;
  std::unique_ptr<net::Resolver> resolver_;
  std::map<std::string, std::unique_ptr<kube::Client>> clients_;
  std::unique_ptr<cm::MetricSource> source_;
  std::unique_ptr<cm::TrustWatch> trust_;
  std::unique_ptr<cm::Reviews> token_reviews_, access_reviews_;
  std::unique_ptr<cm::DelegatingAuthenticator> authenticator_;
  std::unique_ptr<cm::DelegatingAuthorizer> authorizer_;
  std::unique_ptr<cm::ObjectDirectory> objects_;
  std::unique_ptr<CertificateWatch> certificates_;
  ServingCertificate certificate_;
  std::unique_ptr<cm::ApiServer> api_;
  std::unique_ptr<net::HttpServer> server_;
  std::unique_ptr<cm::ApiServiceKeeper> keeper_;
  env::EventLoop::TimerId drain_timer_ = 0;
  int signals_ = 0;
  int exit_code_ = 0;
};

int Fail(const Status& status, bool usage) {
  std::fprintf(stderr, "tepal metrics-api: %s\n", status.message().c_str());
  return usage || status.code() == StatusCode::kInvalidArgument ? 2 : 1;
}

}  // namespace

int RunMetricsApiWith(Arguments arguments, SourceMaker source) {
  MetricsApiFlags flags;
  options::FlagSet set = MakeMetricsApiFlags(flags);
  std::vector<std::string> rest;
  if (const auto exit_code = options::ParseOrExplain(set, arguments, rest)) return *exit_code;
  if (!rest.empty()) return Fail(InvalidArgument(Concat("unexpected word '", rest[0], "'")), true);
  if (const Status status = source.check(flags); !status.ok()) return Fail(status, true);
  MetricsApiProcess process(std::move(flags), source);
  if (const Status status = process.Start(); !status.ok()) return Fail(status, false);
  return process.Run();
}

int RunMetricsApi(Arguments arguments) {
  return RunMetricsApiWith(arguments, {CheckSource, MakeSource});
}

}  // namespace tepal::commands
