#include "network/net/tls_peer.h"

#include <openssl/ssl.h>

namespace tepal::net {
namespace {

int TakeAnyCertificate(X509_STORE_CTX* checks, void*) {
  X509_STORE_CTX_set_error(checks, X509_V_OK);
  return 1;
}

}  // namespace

Result<std::shared_ptr<const TlsContext>> NewAskingServer(const TlsContext::ServerOptions& options,
                                                          WallTime now) {
  TEPAL_CHECK(options.client_ca.empty());
  ASSIGN_OR_RETURN(std::shared_ptr<const TlsContext> made, TlsContext::NewServer(options, now));
  SSL_CTX* const context = made->get();
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_cert_verify_callback(context, TakeAnyCertificate, nullptr);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(context, 0);
  return made;
}

}  // namespace tepal::net
