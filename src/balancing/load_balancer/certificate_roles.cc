#include "balancing/load_balancer/certificate_roles.h"

#include <algorithm>

#include "core/base/text.h"

namespace tepal::lb {

namespace {

bool Names(const std::vector<std::string>& list, const net::CertifiedPeer& peer) {
  return std::any_of(list.begin(), list.end(), [&](const std::string& name) {
    const std::vector<std::string>& others = peer.alternative_names;
    return name == "*" || (!name.empty() && name == peer.common_name) ||
           std::find(others.begin(), others.end(), name) != others.end();
  });
}

// For the log: a name must not write lines of its own.
std::string NameOf(const net::CertifiedPeer& peer) {
  std::string name = "certificate ";
  if (!peer.common_name.empty()) {
    name += Concat("CN=", peer.common_name);
  } else if (!peer.alternative_names.empty()) {
    name += peer.alternative_names.front();
  } else {
    name += "without a name";
  }
  for (char& c : name) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = '?';
  }
  return name;
}

}  // namespace

AdminAccess::Role CertificateRoles::Find(const net::CertifiedPeer& peer) const {
  if (Names(writers, peer)) return AdminAccess::Role::kWrite;
  return Names(readers, peer) ? AdminAccess::Role::kRead : AdminAccess::Role::kNone;
}

AdminAccess::Caller FindCaller(const AdminAccess& tokens,
                               const std::optional<CertificateRoles>& roles,
                               std::string_view authorization, const net::CertifiedPeer* shown,
                               WallTime now) {
  if (!roles.has_value()) return tokens.Find(authorization);
  AdminAccess::Caller by_token;
  if (!tokens.open()) by_token = tokens.Find(authorization);
  if (shown == nullptr || now >= shown->not_after) return by_token;
  AdminAccess::Caller by_certificate{NameOf(*shown), roles->Find(*shown)};
  const bool token_counts =
      by_token.role != AdminAccess::Role::kNone && by_token.role >= by_certificate.role;
  return token_counts ? by_token : by_certificate;
}

}  // namespace tepal::lb
