// Serves HTTP on any number of addresses over several event loops.
//
// A connection lives on one loop; a new one goes to the loop that has fewest, because a few long
// gRPC channels hash badly over SO_REUSEPORT listeners. Each loop has a handler of its own, made by
// the factory, so handlers need no locks for what is theirs. HTTP/1.1 and HTTP/2 (prior knowledge,
// or chosen by ALPN) share every port. All of this class is used on the first loop's thread.

#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/base/function.h"
#include "core/env/event_loop.h"
#include "network/http/session.h"
#include "network/net/tls.h"

namespace tepal::net {

class HttpServer {
 public:
  struct Options {
    http::Limits limits;
    uint32_t connections_max = 65536;  // Above: accepted and closed at once, counted.
    // Given: every connection speaks TLS, with the context that the source has when it is accepted.
    std::shared_ptr<TlsSource> tls;
    Duration tls_handshake_time_max = 10s;
  };
  // Read by metrics from any thread.
  struct Counters {
    std::atomic<uint64_t> connections_accepted{0};
    std::atomic<uint64_t> connections_refused{0};
    std::atomic<int64_t> connections_open{0};
    std::atomic<uint64_t> tls_handshakes{0};  // Completed.
    std::atomic<uint64_t> tls_handshake_failures{0};
  };
  using HandlerFactory = Function<std::unique_ptr<http::RequestHandler>(env::EventLoop&)>;

  // The loops outlive the server; the first one accepts.
  HttpServer(std::vector<env::EventLoop*> loops, Options options, HandlerFactory factory);
  ~HttpServer();

  // kAlreadyExists when the address is in use. Returns the address with its real port.
  Result<env::Address> Listen(const env::Address& address, env::ListenOptions options = {});
  Result<env::Address> ListenOn(int descriptor);

  // Others for connections from now on. Those that stand keep theirs, also when they are more than
  // `connections_max`.
  void SetLimits(const http::Limits& limits, uint32_t connections_max);

  // Closes the listeners: new clients are refused, connections go on. Who had connected by now is
  // served.
  void StopAccepting();

  // Keeps accepting, but every connection is closed politely as soon as it is between two requests
  // (Connection: close on the next answer, GOAWAY). `done` runs when the last one has gone.
  void Drain(Function<void()> done);

  // Stops accepting and closes what is left at once.
  void Stop();

  const Counters& counters() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace tepal::net
