#include "scaling/custom_metrics/trust.h"

#include <algorithm>

#include "core/base/text.h"
#include "network/kube/api.h"

namespace tepal::custom_metrics {
namespace {

Result<std::vector<std::string>> ParseList(const json::Value& config_map, const char* key) {
  std::vector<std::string> list;
  const std::string_view text = kube::TextAt(config_map, "data", key);
  if (text.empty()) return list;
  const auto bad = [&] {
    return InvalidArgument(Concat("'", key, "': got '", text, "', expected a JSON list of texts"));
  };
  const auto parsed = json::Parse(text);
  if (!parsed.ok() || parsed->AsArray() == nullptr) return bad();
  for (const json::Value& one : *parsed->AsArray()) {
    if (one.AsString() == nullptr) return bad();
    list.push_back(*one.AsString());
  }
  return list;
}

std::string Lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

// Keys of extra fields come escaped, because a header's name has fewer characters; what is no
// escape stays.
std::string UnescapeKey(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const int high = i + 2 < text.size() && text[i] == '%' ? HexDigit(text[i + 1]) : -1;
    const int low = high >= 0 ? HexDigit(text[i + 2]) : -1;
    if (low < 0) {
      out += text[i];
      continue;
    }
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

std::string FirstOf(const std::vector<std::string>& names, const http::Headers& headers) {
  for (const std::string& name : names) {
    const auto value = headers.Get(Lower(name));
    if (value && !value->empty()) return std::string(*value);
  }
  return {};
}

std::vector<std::string> AllOf(const std::vector<std::string>& names,
                               const http::Headers& headers) {
  std::vector<std::string> values;
  for (const std::string& name : names) {
    const std::string lower = Lower(name);
    for (const http::Headers::Field field : headers) {
      if (field.name == lower) values.emplace_back(field.value);
    }
  }
  return values;
}

template <typename T>
const T& Chosen(const T& base, const T& over) {
  return over.empty() ? base : over;
}

}  // namespace

Result<TrustConfig> ParseTrustConfig(const json::Value& config_map) {
  TrustConfig made;
  made.client_ca = kube::TextAt(config_map, "data", "client-ca-file");
  made.requestheader_ca = kube::TextAt(config_map, "data", "requestheader-client-ca-file");
  ASSIGN_OR_RETURN(made.allowed_names, ParseList(config_map, "requestheader-allowed-names"));
  ASSIGN_OR_RETURN(made.username_headers, ParseList(config_map, "requestheader-username-headers"));
  ASSIGN_OR_RETURN(made.group_headers, ParseList(config_map, "requestheader-group-headers"));
  ASSIGN_OR_RETURN(made.extra_prefixes,
                   ParseList(config_map, "requestheader-extra-headers-prefix"));
  ASSIGN_OR_RETURN(made.uid_headers, ParseList(config_map, "requestheader-uid-headers"));
  return made;
}

TrustConfig Merge(const TrustConfig& base, const TrustConfig& over) {
  return {
      Chosen(base.client_ca, over.client_ca), Chosen(base.requestheader_ca, over.requestheader_ca),
      // Somebody else's names mean nothing under another authority.
      over.requestheader_ca.empty() ? Chosen(base.allowed_names, over.allowed_names)
                                    : over.allowed_names,
      Chosen(base.username_headers, over.username_headers),
      Chosen(base.group_headers, over.group_headers),
      Chosen(base.extra_prefixes, over.extra_prefixes), Chosen(base.uid_headers, over.uid_headers)};
}

Result<std::shared_ptr<const Trust>> MakeTrust(TrustConfig config) {
  auto made = std::make_shared<Trust>();
  if (!config.client_ca.empty()) {
    ASSIGN_OR_RETURN(made->clients,
                     net::CertificateAuthorities::New({config.client_ca, "client-ca-file"}));
  }
  if (!config.requestheader_ca.empty()) {
    ASSIGN_OR_RETURN(made->front_proxy,
                     net::CertificateAuthorities::New(
                         {config.requestheader_ca, "requestheader-client-ca-file"}));
  }
  made->config = std::move(config);
  return std::shared_ptr<const Trust>(std::move(made));
}

std::optional<User> UserOfHeaders(const TrustConfig& config, const http::Headers& headers) {
  User user;
  user.name = FirstOf(config.username_headers, headers);
  if (user.name.empty()) return std::nullopt;
  user.uid = FirstOf(config.uid_headers, headers);
  user.groups = AllOf(config.group_headers, headers);
  for (const std::string& prefix : config.extra_prefixes) {
    const std::string lower = Lower(prefix);
    for (const http::Headers::Field field : headers) {
      if (!field.name.starts_with(lower) || field.name.size() == lower.size()) continue;
      user.extra[UnescapeKey(field.name.substr(lower.size()))].emplace_back(field.value);
    }
  }
  return user;
}

std::optional<User> UserOfCertificate(const net::CertifiedPeer& peer) {
  if (peer.common_name.empty()) return std::nullopt;
  return User{peer.common_name, "", peer.organizations, {}};
}

User WithAuthenticatedGroup(User user) {
  const bool has =
      std::any_of(user.groups.begin(), user.groups.end(), [](const std::string& group) {
        return group == kAuthenticatedGroup || group == kUnauthenticatedGroup;
      });
  if (!has && user.name != kAnonymous) user.groups.emplace_back(kAuthenticatedGroup);
  return user;
}

}  // namespace tepal::custom_metrics
