// Certificates that clients have shown, checked outside of the handshake.
//
// A server that trusts several authorities for different purposes, and new ones while connections
// stand, takes any certificate in the handshake (tls_peer.h)
// and asks here for each request what it is worth now. It says who the certificate is for and never
// what that one may do.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/base/time.h"
#include "network/net/tls.h"
#include "network/net/tls_peer.h"

struct x509_store_st;  // OpenSSL's X509_STORE.

namespace tepal::net {

// Whom a certificate is for. Valid in the half-open time, and so is each one of its chain.
struct CertifiedPeer {
  std::string common_name;                 // Empty: it has none.
  std::vector<std::string> organizations;  // As written, in order.
  // Those of DNS, URIs and e-mail, as written, in order. Others are left out, and so are those with
  // a character that cannot be seen.
  std::vector<std::string> alternative_names;
  WallTime not_before;
  WallTime not_after;
};

// What a client's own certificate says. Only for one that the handshake has checked: nothing is
// checked here, and the time is that certificate's alone. kUnauthenticated: it cannot be read.
Result<CertifiedPeer> ReadCheckedPeer(const PeerCertificates& shown);

// Any thread, immutable.
class CertificateAuthorities {
 public:
  // kInvalidArgument names the bundle and what is wrong with it; also when it has no certificate.
  static Result<std::shared_ptr<const CertificateAuthorities>> New(const Pem& bundle);
  ~CertificateAuthorities();

  // kUnauthenticated says why not: an authority that is not known, out of its time, not for
  // clients. Each certificate of the bundle is trusted, whether it signed itself or not.
  Result<CertifiedPeer> Check(const PeerCertificates& shown, WallTime now) const;

 private:
  CertificateAuthorities() = default;
  struct Free {
    void operator()(x509_store_st* store) const;
  };
  std::unique_ptr<x509_store_st, Free> store_;
};

}  // namespace tepal::net
