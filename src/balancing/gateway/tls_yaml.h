// The sections of a configuration that say what TLS is spoken with: client_tls and endpoint_tls of
// a pool, tls and fleet_tls of the admin server.

#pragma once

#include "balancing/gateway/config.h"
#include "core/options/yaml.h"

namespace tepal::gateway {

void ReadClientTls(options::YamlReader& pool, std::optional<net::TlsSource::ServerFiles>& tls);

// The section `key`, where there is one: whom a client trusts, and what it shows itself.
void ReadServerTrust(options::YamlReader& parent, std::string_view key,
                     std::optional<net::TlsSource::ClientFiles>& tls);

// `has_tokens`: there is another way to be somebody.
void ReadAdminTls(options::YamlReader& admin, bool has_tokens, std::optional<AdminTlsConfig>& tls);

}  // namespace tepal::gateway
