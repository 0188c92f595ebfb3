#include "scaling/custom_metrics/prometheus_client.h"

#include <utility>

#include "core/base/text.h"
#include "network/kube/api.h"
#include "network/kube/credentials.h"
#include "network/net/http_client.h"

namespace tepal::custom_metrics {
namespace {

using Parameters = std::vector<std::pair<std::string_view, std::string>>;

std::string Encode(const Parameters& parameters) {
  std::string all;
  for (const auto& [name, value] : parameters) {
    all += Concat(all.empty() ? "" : "&", kube::EscapeUrl(name), "=", kube::EscapeUrl(value));
  }
  return all;
}

// With milliseconds, as Prometheus' own clients write it.
std::string TimeText(WallTime when) {
  const int64_t ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(when.time_since_epoch()).count();
  const std::string part = Concat(1000 + ms % 1000);
  return Concat(ms / 1000, ".", std::string_view(part).substr(1));
}

net::HttpClient::Options HttpOptions(const PrometheusClient::Options& options,
                                     const kube::Credentials& credentials) {
  net::HttpClient::Options http;
  http.limits.body_bytes_max = options.answer_bytes_max;
  http.connect_time_max = options.connect_time_max;
  http.idle_connections_max = 8;
  http.tls = credentials.tls();
  return http;
}

// Prometheus sends JSON with these, and with others whatever a proxy makes up.
bool HasAnswer(int status) {
  return status / 100 == 2 || status == 400 || status == 422 || status == 503;
}

}  // namespace

struct PrometheusClient::Impl : std::enable_shared_from_this<Impl> {
  using Done = Function<void(Result<Buffer>)>;

  Impl(env::EventLoop& on_loop, World with_world, Options with_options,
       std::unique_ptr<kube::Credentials> with_credentials)
      : loop(on_loop),
        world(with_world),
        options(std::move(with_options)),
        credentials(std::move(with_credentials)),
        http(std::make_unique<net::HttpClient>(loop, HttpOptions(options, *credentials))) {}

  // `done` gets the body of an answer that may be read.
  void Send(std::string_view path, const Parameters& parameters, Duration time_max, Done done) {
    http::RequestHead head;
    head.target = Concat(options.access.path_prefix, path);
    std::string body;
    if (options.post) {
      head.method = "POST";
      head.headers.Add("content-type", "application/x-www-form-urlencoded");
      body = Encode(parameters);
    } else {
      head.method = "GET";
      head.target += Concat("?", Encode(parameters));
    }
    const std::string& host = options.access.host;
    const bool ip6 = host.find(':') != std::string::npos;
    head.authority = Concat(ip6 ? "[" : "", host, ip6 ? "]:" : ":", options.access.port);
    head.headers.Add("accept", "application/json");
    head.headers.Add("user-agent", "tepal-metrics-api");
    for (const auto& [name, value] : options.headers) head.headers.Add(name, value);
    const std::string& token = credentials->Token(loop.Now());
    if (!token.empty()) head.headers.Set("authorization", Concat("Bearer ", token));
    WithAddress([weak = weak_from_this(), head = std::move(head), body = std::move(body), time_max,
                 done = std::move(done)](Result<env::Address> to) mutable {
      const auto self = weak.lock();
      if (self == nullptr) return;
      if (!to.ok()) return done(to.status());
      self->Fetch(*to, std::move(head), body, time_max, std::move(done));
    });
  }

  void Fetch(const env::Address& to, http::RequestHead head, const std::string& body,
             Duration time_max, Done done) {
    BufferList list;
    if (!body.empty()) list.push_back(Buffer::Copy(body));
    http->Fetch(to, std::move(head), std::move(list), time_max,
                [weak = weak_from_this(),
                 done = std::move(done)](Result<net::HttpClient::Response> response) mutable {
                  const auto self = weak.lock();
                  if (self != nullptr) self->OnResponse(std::move(response), std::move(done));
                });
  }

  void OnResponse(Result<net::HttpClient::Response> response, Done done) {
    if (!response.ok()) {
      OnTransportFailure();
      const Status why = response.status();
      const bool late = why.code() == StatusCode::kDeadlineExceeded;
      return done(Status(late ? why.code() : StatusCode::kUnavailable,
                         Concat("asking Prometheus: ", why.message())));
    }
    const int status = response->head.status;
    if (status == 401) (void)credentials->RefreshToken(loop.Now());
    if (HasAnswer(status)) return done(std::move(response->body));
    done(Unavailable(Concat("asking Prometheus: HTTP ", status, ": ",
                            Trim(response->body.text().substr(0, 200)))));
  }

  void WithAddress(Function<void(Result<env::Address>)> use) {
    if (address < addresses.size()) return use(addresses[address]);
    waiting.push_back(std::move(use));
    if (waiting.size() > 1) return;  // Asked already.
    world.resolver.Resolve(loop, {options.access.host, options.access.port},
                           [weak = weak_from_this()](Result<std::vector<env::Address>> found) {
                             if (const auto self = weak.lock()) self->OnResolved(std::move(found));
                           });
  }

  void OnResolved(Result<std::vector<env::Address>> found) {
    if (found.ok()) addresses = *found;
    address = 0;
    for (auto& use : std::exchange(waiting, {})) {
      if (found.ok()) {
        use(addresses.front());
      } else {
        use(Unavailable(Concat("looking up Prometheus: ", found.status().message())));
      }
    }
  }

  // Another address next time; after the last, the name is looked up again.
  void OnTransportFailure() {
    if (++address >= addresses.size()) addresses.clear();
    credentials->OnConnectFailure(loop.Now());
  }

  env::EventLoop& loop;
  const World world;
  const Options options;
  const std::unique_ptr<kube::Credentials> credentials;
  const std::unique_ptr<net::HttpClient> http;
  std::vector<env::Address> addresses;  // Empty: not looked up.
  size_t address = 0;                   // The one in use.
  std::vector<Function<void(Result<env::Address>)>> waiting;
};

Result<std::unique_ptr<PrometheusClient>> PrometheusClient::New(env::EventLoop& loop, World world,
                                                                Options options) {
  ASSIGN_OR_RETURN(auto credentials,
                   kube::Credentials::New(world.files, world.clock, options.access, {}));
  return std::unique_ptr<PrometheusClient>(new PrometheusClient(
      std::make_shared<Impl>(loop, world, std::move(options), std::move(credentials))));
}

PrometheusClient::PrometheusClient(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
PrometheusClient::~PrometheusClient() = default;

void PrometheusClient::Query(const std::string& promql, Function<void(Result<QueryAnswer>)> done) {
  // Without `time` it is Prometheus' own now, so that two clocks need not agree.
  impl_->Send(
      "/api/v1/query", {{"query", promql}}, impl_->options.query_time_max,
      [done = std::move(done)](Result<Buffer> body) mutable {
        done(body.ok() ? ReadQueryAnswer(body->text()) : Result<QueryAnswer>(body.status()));
      });
}

void PrometheusClient::ListSeries(const std::string& selector, WallTime start,
                                  Function<void(Result<std::vector<Series>>)> done) {
  impl_->Send("/api/v1/series", {{"match[]", selector}, {"start", TimeText(start)}},
              impl_->options.series_time_max,
              [done = std::move(done)](Result<Buffer> body) mutable {
                done(body.ok() ? ReadSeriesAnswer(body->text())
                               : Result<std::vector<Series>>(body.status()));
              });
}

Result<kube::ClusterAccess> ParsePrometheusUrl(std::string_view url) {
  kube::ClusterAccess access;
  RETURN_IF_ERROR(kube::ParseServerUrl(url, access));
  return access;
}

Result<std::pair<std::string, std::string>> ParseHeaderFlag(std::string_view text) {
  const size_t equals = text.find('=');
  const std::string_view name = text.substr(0, equals);
  const std::string_view value =
      equals == std::string_view::npos ? std::string_view() : text.substr(equals + 1);
  const auto is_token = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  };
  for (const char c : name) {
    if (!is_token(c)) return InvalidArgument(Concat("got '", text, "', expected NAME=VALUE"));
  }
  if (name.empty() ||
      value.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos) {
    return InvalidArgument(Concat("got '", text, "', expected NAME=VALUE"));
  }
  return std::pair(std::string(name), std::string(value));
}

}  // namespace tepal::custom_metrics
