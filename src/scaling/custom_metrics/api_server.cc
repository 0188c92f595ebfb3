#include "scaling/custom_metrics/api_server.h"

#include <algorithm>

#include "core/base/text.h"
#include "core/telemetry/log.h"
#include "scaling/custom_metrics/api_call.h"

namespace tepal::custom_metrics {

using Kind = ApiRequest::Kind;

struct ApiServer::State : public ApiHost, public std::enable_shared_from_this<State> {
  State(World with, Options chosen)
      : world(with), options(std::move(chosen)), started(world.loop.Now()) {}

  const ApiServer::World& parts() const override { return world; }
  const ApiServer::Options& settings() const override { return options; }

  std::vector<std::pair<std::string, Status>> Checks(const std::string& which) override {
    std::vector<std::pair<std::string, Status>> list = {{"ping", Status()}};
    if (which != "readyz") return list;
    for (auto& [name, check] : ready_checks) list.emplace_back(name, check());
    list.emplace_back("metric-source", SourceCheck());
    list.emplace_back("shutdown", shutting_down ? Unavailable("stopping") : Status());
    return list;
  }

  // The source counts until it has seen the world once; after that its outage is a 503 to whoever
  // asks, and no reason to take the whole API out of the cluster's discovery.
  Status SourceCheck() {
    if (source_seen) return {};
    const Status health = world.source.Health();
    if (health.ok()) {
      source_seen = true;
      return {};
    }
    if (world.loop.Now() - started < options.source_wait_max) return health;
    source_seen = true;
    telemetry::LogWarning(
        Concat("Ready although the source has seen nothing yet: ", health.message()));
    return {};
  }

  bool Enter(bool counted) override {
    if (counted && counts.requests_active >= options.requests_max) {
      ++counts.requests_refused;
      return false;
    }
    if (counted) ++counts.requests_active;
    return true;
  }
  void Leave(bool counted, int http_status) override {
    if (counted) --counts.requests_active;
    if (http_status != 0) ++counts.answers[http_status];
  }

  void WriteMetrics(telemetry::PrometheusWriter& out) const {
    using Type = telemetry::PrometheusWriter::Type;
    out.Family("tepal_metrics_api_requests_total", "Requests answered, by HTTP status",
               Type::kCounter);
    for (const auto& [code, count] : counts.answers) out.Sample({{"code", Concat(code)}}, count);
    out.Family("tepal_metrics_api_requests_active", "Requests in progress", Type::kGauge);
    out.Sample({}, counts.requests_active);
    out.Family("tepal_metrics_api_requests_refused_total",
               "Requests above the limit of those in progress", Type::kCounter);
    out.Sample({}, counts.requests_refused);
    out.Family("tepal_metrics_api_source_healthy", "Whether the source can say now what it knows",
               Type::kGauge);
    out.Sample({}, static_cast<int64_t>(world.source.Health().ok()));
  }

  const World world;
  const Options options;
  const Instant started;
  std::vector<std::pair<std::string, Function<Status()>>> ready_checks;
  bool source_seen = false;
  bool shutting_down = false;
  Counts counts;
};

namespace {

class Handler final : public net::PeerAwareHandler {
 public:
  explicit Handler(std::weak_ptr<ApiHost> host,
                   std::shared_ptr<const net::PeerCertificates> shown = nullptr)
      : host_(std::move(host)), shown_(std::move(shown)) {}

  std::unique_ptr<http::RequestHandler> ForPeer(
      std::shared_ptr<const net::PeerCertificates> shown) override {
    return std::make_unique<Handler>(host_, std::move(shown));
  }

  std::unique_ptr<http::RequestReceiver> OnRequest(http::RequestHead head,
                                                   http::ResponseSender& sender) override {
    return NewApiCall(host_, std::move(head), shown_, sender);
  }

 private:
  const std::weak_ptr<ApiHost> host_;
  const std::shared_ptr<const net::PeerCertificates> shown_;
};

}  // namespace

ApiServer::ApiServer(World world, Options options)
    : state_(std::make_shared<State>(world, std::move(options))) {
  world.metrics.Add([weak = std::weak_ptr<State>(state_)](telemetry::PrometheusWriter& out) {
    if (const auto state = weak.lock()) state->WriteMetrics(out);
  });
}

ApiServer::~ApiServer() = default;

std::unique_ptr<http::RequestHandler> ApiServer::NewHandler() {
  return std::make_unique<Handler>(state_);
}

void ApiServer::AddReadyCheck(std::string name, Function<Status()> check) {
  state_->ready_checks.emplace_back(std::move(name), std::move(check));
}

void ApiServer::BeginShutdown() { state_->shutting_down = true; }

const ApiServer::Counts& ApiServer::counts() const { return state_->counts; }

}  // namespace tepal::custom_metrics
