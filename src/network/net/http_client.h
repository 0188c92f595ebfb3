// Sends HTTP requests from one event loop, over kept connections.
//
// Connections are pooled per address and protocol, and are reused only when they are known to be
// idle and clean. A request is never sent twice by this class: whoever decides to retry has the
// Failure that says whether it is safe.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "core/base/function.h"
#include "core/env/event_loop.h"
#include "network/http/session.h"
#include "network/net/tls.h"

namespace tepal::net {

class HttpClient {
 public:
  struct Options {
    http::Limits limits;
    Duration connect_time_max = 5s;      // With the TLS handshake.
    uint32_t idle_connections_max = 64;  // Kept per address; HTTP/1.1.
    Duration idle_keep = 60s;
    bool http2 = false;              // Prior knowledge; over TLS the server must choose "h2".
    std::shared_ptr<TlsSource> tls;  // Given: https, with the source's context of the moment.
  };
  struct Counters {
    uint64_t connections_opened = 0;
    uint64_t connect_failures = 0;  // Those of TLS among them.
    uint64_t tls_handshakes = 0;    // Completed.
    uint64_t tls_handshake_failures = 0;
    uint32_t connections_open = 0;
    uint32_t requests_active = 0;
  };

  explicit HttpClient(env::EventLoop& loop, Options options);
  ~HttpClient();  // Every request in progress fails with kCancelled.

  // A request in progress. Destroying the handle before the receiver's last call cancels it.
  class Exchange {
   public:
    virtual ~Exchange() = default;
    // Usable at once; what is written before the connection stands is kept.
    virtual http::RequestSender& sender() = 0;
  };

  // `head.authority` empty: the address is used. `end_of_request`: there is no body.
  std::unique_ptr<Exchange> Send(const env::Address& to, http::RequestHead head,
                                 bool end_of_request,
                                 std::unique_ptr<http::ResponseReceiver> receiver);

  struct Response {
    http::ResponseHead head;
    Buffer body;
  };
  // The simple case: the whole body at once, the whole answer at once, one limit on the time.
  // `done` runs exactly once, never inside Fetch, unless the client is destroyed first.
  void Fetch(const env::Address& to, http::RequestHead head, BufferList body, Duration time_max,
             Function<void(Result<Response>)> done);

  // For connections that are begun from now on.
  void SetConnectTimeMax(Duration time);

  // Idle connections to `to` are closed; requests in progress go on.
  void Forget(const env::Address& to);

  Counters counters() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tepal::net
