// TLS as a filter: a Stream of plain bytes over a Stream of encrypted ones.
//
// The handshake is done first, because its outcome (ALPN) says which session to put on top; what
// comes out is an env::Stream like any other. Bytes that Write reports have been encrypted and
// given to the stream below in full, so closing loses none of them (a close_notify that does not
// fit at once is lost); after kWouldBlock the next Write must begin with the bytes that were not
// taken, as every session does. Reading ends with the peer's close_notify; a connection that ends
// without one has been cut short and reads as a reset (ECONNRESET). What the peer did against the
// protocol reads as EPROTO. Owned by one loop.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/env/event_loop.h"
#include "network/net/tls.h"
#include "network/net/tls_peer.h"

namespace tepal::net {

constexpr Duration kTlsHandshakeTimeMax = 10s;

struct TlsConnection {
  std::unique_ptr<env::Stream> stream;  // Not attached yet, as if it had just been accepted.
  std::string protocol;                 // "h2" and so on; empty: none was agreed on.
  // Servers: what the client has shown; null when it has shown nothing.
  std::shared_ptr<const PeerCertificates> shown;
};

// A handshake in progress. Destroying it gives up without a call.
class TlsHandshake {
 public:
  virtual ~TlsHandshake() = default;

  // Called once, never before Start returns. kUnauthenticated: a certificate is missing or not to
  // be trusted; kDeadlineExceeded; kUnavailable: anything else. The handle may be destroyed inside.
  using Done = Function<void(Result<TlsConnection>)>;

  // `stream` is not attached yet.
  static std::unique_ptr<TlsHandshake> StartServer(env::EventLoop& loop,
                                                   std::shared_ptr<const TlsContext> context,
                                                   std::unique_ptr<env::Stream> stream,
                                                   Duration time_max, Done done);

  // The server must show a certificate for `host`, a name or a numeric address, unless the context
  // names it. `alpn`: what is offered, in order of preference.
  static std::unique_ptr<TlsHandshake> StartClient(env::EventLoop& loop,
                                                   std::shared_ptr<const TlsContext> context,
                                                   std::unique_ptr<env::Stream> stream,
                                                   const std::string& host,
                                                   const std::vector<std::string>& alpn,
                                                   Duration time_max, Done done);
};

}  // namespace tepal::net
