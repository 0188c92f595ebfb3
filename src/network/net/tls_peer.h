// Who has connected: what a TLS client has shown, for handlers that answer according to that.
//
// A server that trusts several authorities for different purposes, or new ones while connections
// stand, takes any certificate in the handshake, or none, and leaves it to its handler to ask
// certificate_authorities.h what it is worth.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "network/http/stream.h"
#include "network/net/tls.h"

namespace tepal::net {

// Each in DER; the client's own first. Immutable once it is shared.
struct PeerCertificates {
  std::vector<std::string> chain;
};

// A server's context that asks its clients for a certificate and takes any, or none. They are not
// told whom we trust, so that this can change. No session is resumed: every connection shows its
// whole chain. `options.client_ca` must be empty.
Result<std::shared_ptr<const TlsContext>> NewAskingServer(const TlsContext::ServerOptions& options,
                                                          WallTime now);

// A server's handler that wants to know who has connected: HttpServer asks it for a handler for
// each connection over TLS, which lives at least as long as that.
class PeerAwareHandler : public http::RequestHandler {
 public:
  // `shown` is null when the client has shown nothing.
  virtual std::unique_ptr<http::RequestHandler> ForPeer(
      std::shared_ptr<const PeerCertificates> shown) = 0;
};

}  // namespace tepal::net
