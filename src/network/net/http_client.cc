#include "network/net/http_client.h"

#include <map>

#include "core/base/text.h"
#include "network/http/body_collector.h"
#include "network/net/client_call.h"
#include "network/net/client_pool.h"
#include "network/net/connection.h"

namespace tepal::net {
namespace {

class ExchangeHandle final : public HttpClient::Exchange {
 public:
  explicit ExchangeHandle(std::shared_ptr<ClientCall> call) : call_(std::move(call)) {}
  ~ExchangeHandle() override { call_->Abandon(); }
  http::RequestSender& sender() override { return *call_; }

 private:
  const std::shared_ptr<ClientCall> call_;
};

// Collects a whole answer for Fetch.
class FetchReceiver final : public http::ResponseReceiver {
 public:
  using Done = Function<void(Result<HttpClient::Response>)>;

  FetchReceiver(uint64_t bytes_max, Done done) : bytes_max_(bytes_max), done_(std::move(done)) {}

  void OnResponse(http::ResponseHead head) override {
    collector_.emplace(head.content_length, bytes_max_);
    head_ = std::move(head);
  }
  std::span<std::byte> BodyRoom(size_t expected) override { return collector_->BodyRoom(expected); }
  void OnBody(size_t bytes) override { collector_->OnBody(bytes); }
  void OnResponseEnd(const http::Headers&) override {
    if (collector_->overflowed()) {
      return done_(ResourceExhausted(Concat("the answer is larger than ", bytes_max_, " bytes")));
    }
    done_(HttpClient::Response{std::move(head_), collector_->Take()});
  }
  void OnFailure(const Failure& failure) override { done_(failure.why); }

 private:
  const uint64_t bytes_max_;
  Done done_;
  http::ResponseHead head_;
  std::optional<http::BodyCollector> collector_;
};

}  // namespace

struct HttpClient::Impl {
  struct Fetching {
    std::unique_ptr<Exchange> exchange;
    env::EventLoop::TimerId timer = 0;
    Function<void(Result<Response>)> done;
  };

  Impl(env::EventLoop& on_loop, Options with_options)
      : loop(on_loop), options(with_options), group(std::make_shared<ConnectionGroup>(on_loop)) {}

  ClientPool& PoolOf(const env::Address& address) {
    const auto key = std::make_tuple(address.family, address.host, address.port);
    std::unique_ptr<ClientPool>& pool = pools[key];
    if (pool == nullptr) {
      pool = std::make_unique<ClientPool>(group, options, address, counters);
    }
    return *pool;
  }

  // `done` may destroy the client.
  void EndFetch(uint64_t number, Result<Response> result) {
    const auto found = fetches.find(number);
    if (found == fetches.end()) return;
    Fetching fetching = std::move(found->second);
    fetches.erase(found);
    loop.Cancel(fetching.timer);
    fetching.exchange.reset();
    fetching.done(std::move(result));
  }

  env::EventLoop& loop;
  Options options;  // The pools refer to it.
  const std::shared_ptr<Counters> counters = std::make_shared<Counters>();
  const std::shared_ptr<ConnectionGroup> group;
  std::map<std::tuple<env::Address::Family, std::string, uint16_t>, std::unique_ptr<ClientPool>>
      pools;
  std::map<uint64_t, Fetching> fetches;
  uint64_t fetches_begun = 0;
};

HttpClient::HttpClient(env::EventLoop& loop, Options options)
    : impl_(std::make_unique<Impl>(loop, options)) {}

HttpClient::~HttpClient() {
  for (auto& [number, fetching] : impl_->fetches) impl_->loop.Cancel(fetching.timer);
  impl_->fetches.clear();
}

void HttpClient::SetConnectTimeMax(Duration time) { impl_->options.connect_time_max = time; }

std::unique_ptr<HttpClient::Exchange> HttpClient::Send(
    const env::Address& to, http::RequestHead head, bool end_of_request,
    std::unique_ptr<http::ResponseReceiver> receiver) {
  if (head.authority.empty()) {
    head.authority =
        to.family == env::Address::Family::kUnix ? std::string("localhost") : to.ToString();
  }
  if (head.scheme.empty()) head.scheme = impl_->options.tls != nullptr ? "https" : "http";
  head.has_body = !end_of_request;
  auto call = std::make_shared<ClientCall>(
      std::move(head), end_of_request, std::move(receiver),
      std::shared_ptr<uint32_t>(impl_->counters, &impl_->counters->requests_active));
  impl_->PoolOf(to).Send(call);
  return std::make_unique<ExchangeHandle>(std::move(call));
}

void HttpClient::Fetch(const env::Address& to, http::RequestHead head, BufferList body,
                       Duration time_max, Function<void(Result<Response>)> done) {
  const uint64_t number = ++impl_->fetches_begun;
  Impl* const impl = impl_.get();
  Impl::Fetching& fetching = impl->fetches[number];
  fetching.done = std::move(done);
  fetching.timer = impl->loop.RunAfter(time_max, [impl, number, to, time_max] {
    impl->EndFetch(number,
                   DeadlineExceeded(Concat("no whole answer from ", to.ToString(), " within ",
                                           ToMicroseconds(time_max) / 1000, " ms")));
  });
  const size_t size = TotalSize(body);
  if (size > 0) head.content_length = size;
  auto receiver = std::make_unique<FetchReceiver>(
      impl->options.limits.body_bytes_max,
      [impl, number](Result<Response> result) { impl->EndFetch(number, std::move(result)); });
  std::unique_ptr<Exchange> exchange = Send(to, std::move(head), size == 0, std::move(receiver));
  if (size > 0) {
    exchange->sender().Write(std::move(body));
    exchange->sender().Finish();
  }
  const auto found = impl->fetches.find(number);
  if (found != impl->fetches.end()) found->second.exchange = std::move(exchange);
}

void HttpClient::Forget(const env::Address& to) {
  const auto found = impl_->pools.find(std::make_tuple(to.family, to.host, to.port));
  if (found == impl_->pools.end()) return;
  found->second->CloseIdle();
  if (found->second->empty()) impl_->pools.erase(found);
}

HttpClient::Counters HttpClient::counters() const { return *impl_->counters; }

}  // namespace tepal::net
