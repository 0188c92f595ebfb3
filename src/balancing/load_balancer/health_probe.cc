#include "balancing/load_balancer/health_probe.h"

#include <utility>

#include "core/base/text.h"
#include "network/http/grpc_client.h"

namespace tepal::lb {

namespace {

using Kind = HealthCheck::Kind;

constexpr size_t kMessageBytesMax = 64 * 1024;

net::HttpClient::Options ClientOptions(const std::shared_ptr<net::TlsSource>& tls, bool http2) {
  net::HttpClient::Options client;
  client.connect_time_max = 60s;  // Every check has a time limit of its own.
  client.idle_connections_max = 1;
  client.limits.body_bytes_max = HealthMatch::kBodyBytesMax;
  client.tls = tls;
  client.http2 = http2;
  return client;
}

// A message whose first field is this text, as HealthCheckRequest and ModelReadyRequest have it.
std::string TextField(std::string_view text) {
  if (text.empty()) return {};
  std::string message = "\x0a";
  for (size_t rest = text.size();; rest >>= 7) {
    const bool last = rest < 128;
    message.push_back(static_cast<char>(last ? rest : (rest & 127) | 128));
    if (last) break;
  }
  return message.append(text);
}

// A message whose first field is the number 1: SERVING, or true.
bool SaysOne(std::string_view message) {
  return message.starts_with(std::string_view("\x08\x01", 2));
}

std::string_view PathOf(const HealthCheck::Options& options) {
  if (options.kind == Kind::kGrpcHealth) return "/grpc.health.v1.Health/Check";
  return options.service.empty() ? "/inference.GRPCInferenceService/ServerReady"
                                 : "/inference.GRPCInferenceService/ModelReady";
}

}  // namespace

struct HealthProbe::Call {
  std::unique_ptr<net::HttpClient::Exchange> exchange;
  env::EventLoop::TimerId timer = 0;
  Function<void(std::string)> done;
};

Status HealthProbe::Validate(const HealthCheck::Options& options) {
  return HealthMatch::New(options.match).status();
}

HealthProbe::HealthProbe(env::EventLoop& loop, std::shared_ptr<net::TlsSource> tls)
    : loop_(loop),
      http_(std::make_unique<net::HttpClient>(loop, ClientOptions(tls, false))),
      grpc_(std::make_unique<net::HttpClient>(loop, ClientOptions(tls, true))) {}

HealthProbe::~HealthProbe() {
  for (auto& [number, call] : calls_) loop_.Cancel(call->timer);
  calls_.clear();
}

void HealthProbe::Send(const Dispatcher::Check& check, const HealthCheck::Options& options,
                       Function<void(std::string)> done) {
  const bool http = options.kind == Kind::kHttp;
  env::Address to = http ? check.address : check.grpc_address.value_or(check.address);
  if (options.port != 0) to.port = options.port;
  http ? SendHttp(to, options, std::move(done)) : SendGrpc(to, options, std::move(done));
}

void HealthProbe::SendHttp(const env::Address& to, const HealthCheck::Options& options,
                           Function<void(std::string)> done) {
  http::RequestHead head;
  head.method = "GET";
  head.target = options.path;
  head.headers.Add("user-agent", "tepal-health-check");
  Result<HealthMatch> match = HealthMatch::New(options.match);
  http_->Fetch(to, std::move(head), {}, options.time_max,
               [match = std::move(match),
                done = std::move(done)](Result<net::HttpClient::Response> response) mutable {
                 done(response.ok() ? match->Judge(response->head, response->body.text())
                                    : response.status().message());
               });
}

void HealthProbe::SendGrpc(const env::Address& to, const HealthCheck::Options& options,
                           Function<void(std::string)> done) {
  const uint64_t number = ++calls_begun_;
  Call& call = *(calls_[number] = std::make_unique<Call>());
  call.done = std::move(done);
  call.timer = loop_.RunAfter(options.time_max, [this, number, time = options.time_max] {
    End(number, Concat("no answer within ", ToMilliseconds(time), " ms"));
  });
  const int accepted = options.grpc_status;
  auto receiver = std::make_unique<http::GrpcUnaryResponse>(
      kMessageBytesMax, [this, number, accepted](http::GrpcEnd end, Buffer message) {
        std::string error;
        const bool listed = static_cast<int>(end.status.code()) == accepted;
        if (!end.status.ok() && !listed) {
          error = Concat("gRPC status ", static_cast<int>(end.status.code()), ": ",
                         end.status.message());
        } else if (end.status.ok() && !SaysOne(message.text())) {
          error = "not ready";
        }
        // After Send, also when the client has failed within it.
        loop_.Defer([alive = std::weak_ptr<int>(alive_), this, number, error] {
          if (!alive.expired()) End(number, error);
        });
      });
  http::RequestHead head = http::MakeGrpcRequest("", PathOf(options), options.time_max);
  head.headers.Add("user-agent", "tepal-health-check");
  call.exchange = grpc_->Send(to, std::move(head), false, std::move(receiver));
  BufferList message;
  const std::string text = TextField(options.service);
  if (!text.empty()) message.push_back(Buffer::Copy(text));
  http::GrpcWrite(call.exchange->sender(), std::move(message));
  call.exchange->sender().Finish();
}

void HealthProbe::End(uint64_t number, std::string error) {
  const auto call = calls_.extract(number);
  if (call.empty()) return;
  loop_.Cancel(call.mapped()->timer);
  call.mapped()->exchange.reset();
  call.mapped()->done(std::move(error));
}

}  // namespace tepal::lb
