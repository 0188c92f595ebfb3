#include "network/kube/client_impl.h"

#include <cmath>

#include "core/base/text.h"
#include "network/kube/client_watch.h"

namespace tepal::kube {
namespace {

net::HttpClient::Options HttpOptions(const ClusterAccess& access, const Client::Options& options,
                                     const Credentials& credentials) {
  net::HttpClient::Options http;
  http.limits.body_bytes_max = options.answer_bytes_max;
  http.limits.keepalive_time = 30s;
  http.limits.keepalive_timeout = 15s;
  http.connect_time_max = options.connect_time_max;
  http.idle_connections_max = 4;
  http.tls = credentials.tls();
  http.http2 = access.tls && options.http2;
  return http;
}

std::string_view RetryAfterOf(const http::ResponseHead& head) {
  return head.headers.Get("retry-after").value_or(std::string_view());
}

}  // namespace

Client::Impl::Impl(env::EventLoop& loop, World world, ClusterAccess access, Options options,
                   std::unique_ptr<Credentials> credentials)
    : loop_(loop),
      world_(world),
      access_(std::move(access)),
      options_(std::move(options)),
      credentials_(std::move(credentials)),
      http_(std::make_unique<net::HttpClient>(loop_,
                                              HttpOptions(access_, options_, *credentials_))) {}

Client::Impl::~Impl() = default;

void Client::Impl::WithAddress(UseAddress use) {
  if (address_ < addresses_.size()) return use(addresses_[address_]);
  waiting_.push_back(std::move(use));
  if (waiting_.size() > 1) return;  // Asked already.
  world_.resolver.Resolve(loop_, {access_.host, access_.port},
                          [weak = weak_from_this()](Result<std::vector<env::Address>> found) {
                            if (const auto self = weak.lock()) self->OnResolved(std::move(found));
                          });
}

void Client::Impl::OnResolved(Result<std::vector<env::Address>> found) {
  if (found.ok()) addresses_ = *found;
  address_ = 0;
  std::deque<UseAddress> waiting = std::exchange(waiting_, {});
  for (UseAddress& use : waiting) {
    use(found.ok() ? Result<env::Address>(found->front()) : Result<env::Address>(found.status()));
  }
}

void Client::Impl::OnTransportFailure() {
  if (++address_ >= addresses_.size()) addresses_.clear();
  credentials_->OnConnectFailure(loop_.Now());
}

http::RequestHead Client::Impl::HeadOf(const Request& request) {
  http::RequestHead head;
  head.method = request.method;
  head.target = access_.path_prefix + request.path;
  if (!request.query.empty()) head.target += Concat("?", request.query);
  const bool ip6 = access_.host.find(':') != std::string::npos;
  head.authority = Concat(ip6 ? "[" : "", access_.host, ip6 ? "]:" : ":", access_.port);
  head.headers.Add("accept", "application/json");
  head.headers.Add("user-agent", options_.user_agent);
  if (!request.body.empty()) head.headers.Add("content-type", request.content_type);
  const std::string& token = credentials_->Token(loop_.Now());
  if (!token.empty()) head.headers.Add("authorization", Concat("Bearer ", token));
  return head;
}

void Client::Impl::Send(Request request, Done done, bool second_try) {
  WithAddress([weak = weak_from_this(), request = std::move(request), done = std::move(done),
               second_try](Result<env::Address> to) mutable {
    const std::shared_ptr<Impl> self = weak.lock();
    if (self == nullptr) return;
    if (!to.ok()) return done(FailedAnswer(to.status()));
    BufferList body;
    if (!request.body.empty()) body.push_back(Buffer::Copy(request.body));
    http::RequestHead head = self->HeadOf(request);
    const std::string what = Concat(request.method, " ", request.path);
    self->http_->Fetch(
        *to, std::move(head), std::move(body), self->options_.request_time_max,
        [weak, request = std::move(request), done = std::move(done), second_try,
         what](Result<net::HttpClient::Response> response) mutable {
          const std::shared_ptr<Impl> alive = weak.lock();
          if (alive == nullptr) return;
          if (!response.ok()) {
            alive->OnTransportFailure();
            return done(FailedAnswer(std::move(response.status()).WithContext(what)));
          }
          Answer answer = MakeAnswer(response->head.status, response->body.text(),
                                     RetryAfterOf(response->head));
          if (answer.http_status == 401 && !second_try && alive->OnUnauthorized()) {
            return alive->Send(std::move(request), std::move(done), true);
          }
          if (!answer.ok()) answer.status = std::move(answer.status).WithContext(what);
          done(std::move(answer));
        });
  });
}

Duration Client::Impl::NextWatchTime() {
  const double golden = 0.6180339887 * static_cast<double>(++watches_);
  return FromSeconds(ToSeconds(options_.watch_time) * (1 + (golden - std::floor(golden)) / 3));
}

std::unique_ptr<Client::Watching> Client::Impl::Watch(Request request, Duration time_max,
                                                      Function<void(WatchEvent)> on_event,
                                                      Done on_end) {
  auto call = std::make_shared<WatchCall>(loop_, std::move(on_event), std::move(on_end));
  call->ArmTimer(time_max + options_.request_time_max);
  WithAddress(
      [weak = weak_from_this(), call, request = std::move(request)](Result<env::Address> to) {
        const std::shared_ptr<Impl> self = weak.lock();
        if (self == nullptr) return;
        if (!to.ok()) return call->End(FailedAnswer(to.status()));
        call->on_transport_failure = [weak] {
          if (const auto impl = weak.lock()) impl->OnTransportFailure();
        };
        call->on_unauthorized = [weak] {
          if (const auto impl = weak.lock()) (void)impl->OnUnauthorized();
        };
        call->Begin(self->http(), *to, self->HeadOf(request));
      });
  return std::make_unique<WatchHandle>(std::move(call));
}

}  // namespace tepal::kube
