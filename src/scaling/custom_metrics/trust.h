// Whose certificates say who is asking: the front proxy's, which speaks for others by headers, and
// the cluster's clients', which speak for themselves.
//
// What the cluster says about it is the ConfigMap kube-system/extension-apiserver-authentication
// (trust_watch.h); flags may say otherwise, field by field. Pure.

#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/json/value.h"
#include "network/http/headers.h"
#include "network/net/certificate_authorities.h"
#include "scaling/custom_metrics/user.h"

namespace tepal::custom_metrics {

// Texts and lists; each empty one is not said.
struct TrustConfig {
  std::string client_ca;                   // PEM.
  std::string requestheader_ca;            // PEM; empty: nobody speaks for others.
  std::vector<std::string> allowed_names;  // Common names of the front proxy; empty: any.
  std::vector<std::string> username_headers, group_headers, extra_prefixes, uid_headers;

  bool operator==(const TrustConfig&) const = default;
};

// Of the ConfigMap. The error names the key.
Result<TrustConfig> ParseTrustConfig(const json::Value& config_map);

// `over` where it says something, else `base`.
TrustConfig Merge(const TrustConfig& base, const TrustConfig& over);

// Immutable.
struct Trust {
  TrustConfig config;
  std::shared_ptr<const net::CertificateAuthorities> clients;      // Null: none.
  std::shared_ptr<const net::CertificateAuthorities> front_proxy;  // Null: none.
};

Result<std::shared_ptr<const Trust>> MakeTrust(TrustConfig config);

// Whom the headers of a front proxy's request name; nothing when they name nobody.
std::optional<User> UserOfHeaders(const TrustConfig& config, const http::Headers& headers);

// Whom a client's own certificate names; nothing when it has no common name.
std::optional<User> UserOfCertificate(const net::CertifiedPeer& peer);

// Adds system:authenticated, as to everybody who is somebody.
User WithAuthenticatedGroup(User user);

}  // namespace tepal::custom_metrics
