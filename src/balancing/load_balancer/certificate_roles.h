// Who may read and who may change the admin API by the certificate that a client has shown, beside
// the tokens of admin_access.h.
//
// A certificate has the role of its common name, or of one of its alternative names (DNS, URI,
// e-mail), as written; "*" stands for every certificate that the server's client_ca has signed.
// That it has signed it is the handshake's business. Pure.

#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "balancing/load_balancer/admin_access.h"
#include "core/base/time.h"
#include "network/net/certificate_authorities.h"

namespace tepal::lb {

struct CertificateRoles {
  std::vector<std::string> writers;
  std::vector<std::string> readers;
  bool operator==(const CertificateRoles&) const = default;

  bool empty() const { return writers.empty() && readers.empty(); }
  AdminAccess::Role Find(const net::CertifiedPeer& peer) const;
};

// Who asks, by token or by certificate: the one of the two that may do more. `roles`: given where
// certificates are asked for, and then nobody is let in for want of tokens. `shown`: null without
// one. A certificate that has run out since it was shown is none any more. The name of a caller
// without a role is what it has shown.
AdminAccess::Caller FindCaller(const AdminAccess& tokens,
                               const std::optional<CertificateRoles>& roles,
                               std::string_view authorization, const net::CertifiedPeer* shown,
                               WallTime now);

}  // namespace tepal::lb
