#include "network/net/http_server.h"

#include <algorithm>
#include <condition_variable>
#include <map>

#include "core/base/guarded.h"
#include "core/base/text.h"
#include "core/telemetry/log.h"
#include "network/net/connection.h"
#include "network/net/tls_peer.h"
#include "network/net/tls_stream.h"

namespace tepal::net {
namespace {

// The server's part that lives on one loop.
class LoopShard final : public ConnectionOwner, public std::enable_shared_from_this<LoopShard> {
 public:
  LoopShard(env::EventLoop& loop, const HttpServer::Options& options,
            std::shared_ptr<HttpServer::Counters> counters,
            std::unique_ptr<http::RequestHandler> handler)
      : loop_(loop),
        options_(options),
        counters_(std::move(counters)),
        handler_(std::move(handler)),
        peer_aware_(dynamic_cast<PeerAwareHandler*>(handler_.get())),
        group_(std::make_shared<ConnectionGroup>(loop, options.tls != nullptr ? "https" : "http")) {
  }

  env::EventLoop& loop() { return loop_; }

  // Connections given to this loop and not yet gone. Any thread.
  std::atomic<int64_t> load{0};

  // The rest on the loop's thread.
  void Adopt(std::unique_ptr<env::Stream> stream) {
    if (closed_) {
      stream.reset();
      return Gone();
    }
    if (options_.tls == nullptr) return Serve(std::move(stream), "");
    const uint64_t number = ++handshakes_begun_;
    handshakes_[number] = TlsHandshake::StartServer(
        loop_, options_.tls->Get(), std::move(stream), options_.tls_handshake_time_max,
        [this, number](Result<TlsConnection> made) { OnHandshake(number, std::move(made)); });
  }

  void SetLimits(const http::Limits& limits) { options_.limits = limits; }

  // `on_gone` runs on this loop after each connection that goes from now on, and once now: the last
  // one may have gone between the decision to drain and this call.
  void Drain(Function<void()> on_gone) {
    on_gone_ = std::move(on_gone);
    for (const auto& connection : connections_) connection->Drain();
    on_gone_();
  }

  void Close() {
    if (closed_) return;
    closed_ = true;
    on_gone_ = nullptr;
    for (; !handshakes_.empty(); handshakes_.erase(handshakes_.begin())) Gone();
    while (!connections_.empty()) {
      std::unique_ptr<Connection> last = std::move(connections_.back());
      connections_.pop_back();
      Forget(*last);
      Connection::Dispose(std::move(last), Unavailable("the server is stopping"));
      Gone();
    }
    // A session that is on the stack still refers to the handler.
    if (group_->in_turn()) {
      loop_.Defer([self = shared_from_this()] { self->handler_.reset(); });
    } else {
      handler_.reset();
    }
  }

 private:
  void OnHandshake(uint64_t number, Result<TlsConnection> made) {
    handshakes_.erase(number);
    if (made.ok()) {
      counters_->tls_handshakes.fetch_add(1, std::memory_order_relaxed);
      return Serve(std::move(made->stream), made->protocol, std::move(made->shown));
    }
    counters_->tls_handshake_failures.fetch_add(1, std::memory_order_relaxed);
    telemetry::LogVerbose(1, Concat("a TLS handshake failed: ", made.status().message()));
    Gone();
  }

  // `protocol`: what ALPN has chosen; nothing: the first bytes say.
  void Serve(std::unique_ptr<env::Stream> stream, std::string_view protocol,
             std::shared_ptr<const PeerCertificates> shown = nullptr) {
    auto connection = std::make_unique<Connection>(group_, *this, Connection::Side::kServer);
    Connection& adopted = *connection;
    http::RequestHandler* handler = handler_.get();
    if (peer_aware_ != nullptr) {
      auto own = peer_aware_->ForPeer(std::move(shown));
      handler = own.get();
      handlers_of_peers_[&adopted] = std::move(own);
    }
    adopted.owner_slot = connections_.size();
    connections_.push_back(std::move(connection));
    adopted.Start(std::move(stream),
                  protocol == "h2" ? http::NewHttp2ServerSession(options_.limits, adopted, *handler)
                                   : http::NewServerSession(options_.limits, adopted, *handler));
    if (on_gone_) adopted.Drain();
  }

  void OnConnectionClosed(Connection& connection) override {
    const size_t slot = connection.owner_slot;
    std::unique_ptr<Connection> gone = std::move(connections_[slot]);
    if (slot + 1 != connections_.size()) {
      connections_[slot] = std::move(connections_.back());
      connections_[slot]->owner_slot = slot;
    }
    connections_.pop_back();
    Forget(*gone);
    gone.reset();
    Gone();
  }

  // Before the connection goes: its session may be on the stack until this turn is over, and refers
  // to its handler.
  void Forget(const Connection& connection) {
    const auto found = handlers_of_peers_.find(&connection);
    if (found == handlers_of_peers_.end()) return;
    loop_.Defer([handler = std::move(found->second)] {});
    handlers_of_peers_.erase(found);
  }

  void Gone() {
    load.fetch_sub(1, std::memory_order_relaxed);
    counters_->connections_open.fetch_sub(1);
    if (on_gone_) on_gone_();
  }

  env::EventLoop& loop_;
  HttpServer::Options options_;
  const std::shared_ptr<HttpServer::Counters> counters_;
  std::unique_ptr<http::RequestHandler> handler_;
  PeerAwareHandler* const peer_aware_;  // The same, or null.
  std::map<const Connection*, std::unique_ptr<http::RequestHandler>> handlers_of_peers_;
  const std::shared_ptr<ConnectionGroup> group_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::map<uint64_t, std::unique_ptr<TlsHandshake>> handshakes_;
  uint64_t handshakes_begun_ = 0;
  Function<void()> on_gone_;  // Set: draining.
  bool closed_ = false;
};

// Runs `task` on `loop` and waits for it; here and now when this is the loop's thread.
void RunOnAndWait(env::EventLoop& loop, Function<void()> task) {
  if (loop.InLoopThread()) return task();
  Guarded<bool> done{false};
  std::condition_variable changed;
  loop.Post([&] {
    task();
    // Told under the lock: whoever waits destroys both as soon as it has it.
    auto access = done.Lock();
    *access = true;
    changed.notify_one();
  });
  auto access = done.Lock();
  changed.wait(access.lock(), [&] { return *access; });
}

}  // namespace

struct HttpServer::Impl : std::enable_shared_from_this<HttpServer::Impl> {
  env::EventLoop& accepting_loop() { return shards.front()->loop(); }

  Function<void(std::unique_ptr<env::Stream>)> OnAccept() {
    return [this](std::unique_ptr<env::Stream> stream) { Accept(std::move(stream)); };
  }

  void Accept(std::unique_ptr<env::Stream> stream) {
    counters->connections_accepted.fetch_add(1, std::memory_order_relaxed);
    if (counters->connections_open.load() >= options.connections_max) {
      counters->connections_refused.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    counters->connections_open.fetch_add(1);
    const std::shared_ptr<LoopShard>& shard =
        *std::min_element(shards.begin(), shards.end(), [](const auto& a, const auto& b) {
          return a->load.load(std::memory_order_relaxed) < b->load.load(std::memory_order_relaxed);
        });
    shard->load.fetch_add(1, std::memory_order_relaxed);
    if (shard->loop().InLoopThread()) return shard->Adopt(std::move(stream));
    shard->loop().Post(
        [shard, stream = std::move(stream)]() mutable { shard->Adopt(std::move(stream)); });
  }

  // Draining: a connection has gone, or draining has just begun.
  void LookWhetherDrained() {
    if (counters->connections_open.load() == 0 && on_drained) {
      std::exchange(on_drained, nullptr)();
    }
  }

  void Stop() {
    listeners.clear();
    on_drained = nullptr;
    for (const std::shared_ptr<LoopShard>& shard : shards) {
      RunOnAndWait(shard->loop(), [&shard] { shard->Close(); });
    }
  }

  Options options;
  std::shared_ptr<Counters> counters = std::make_shared<Counters>();
  std::vector<std::shared_ptr<LoopShard>> shards;
  std::vector<std::unique_ptr<env::Listener>> listeners;
  Function<void()> on_drained;
};

HttpServer::HttpServer(std::vector<env::EventLoop*> loops, Options options, HandlerFactory factory)
    : impl_(std::make_shared<Impl>()) {
  TEPAL_CHECK(!loops.empty());
  impl_->options = options;
  for (env::EventLoop* loop : loops) {
    impl_->shards.push_back(
        std::make_shared<LoopShard>(*loop, options, impl_->counters, factory(*loop)));
  }
}

HttpServer::~HttpServer() { Stop(); }

Result<env::Address> HttpServer::Listen(const env::Address& address, env::ListenOptions options) {
  ASSIGN_OR_RETURN(auto listener,
                   impl_->accepting_loop().Listen(address, options, impl_->OnAccept()));
  impl_->listeners.push_back(std::move(listener));
  return impl_->listeners.back()->address();
}

Result<env::Address> HttpServer::ListenOn(int descriptor) {
  ASSIGN_OR_RETURN(auto listener, impl_->accepting_loop().ListenOn(descriptor, impl_->OnAccept()));
  impl_->listeners.push_back(std::move(listener));
  return impl_->listeners.back()->address();
}

void HttpServer::SetLimits(const http::Limits& limits, uint32_t connections_max) {
  impl_->options.connections_max = connections_max;
  for (const std::shared_ptr<LoopShard>& shard : impl_->shards) {
    shard->loop().Post([shard, limits] { shard->SetLimits(limits); });
  }
}

void HttpServer::Drain(Function<void()> done) {
  impl_->on_drained = std::move(done);
  const std::weak_ptr<Impl> weak = impl_;
  env::EventLoop& home = impl_->accepting_loop();
  // Said on the accepting loop, and in a turn of its own.
  const auto look = [weak, &home] {
    home.Post([weak] {
      if (const std::shared_ptr<Impl> impl = weak.lock()) impl->LookWhetherDrained();
    });
  };
  for (const std::shared_ptr<LoopShard>& shard : impl_->shards) {
    shard->loop().Post([shard, look] { shard->Drain(look); });
  }
}

void HttpServer::StopAccepting() {
  for (const auto& listener : impl_->listeners) listener->AcceptWaiting();
  impl_->listeners.clear();
}

void HttpServer::Stop() { impl_->Stop(); }

const HttpServer::Counters& HttpServer::counters() const { return *impl_->counters; }

}  // namespace tepal::net
