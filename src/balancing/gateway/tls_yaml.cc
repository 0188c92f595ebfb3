#include "balancing/gateway/tls_yaml.h"

namespace tepal::gateway {

namespace {

using options::YamlReader;

void ReadServerFiles(YamlReader& section, net::TlsSource::ServerFiles& files) {
  section.Require("certificate", "the file of the certificate chain");
  section.Text("certificate", &files.certificate_chain);
  section.Require("key", "the file of its key");
  section.Text("key", &files.key);
  section.Text("client_ca", &files.client_ca);
}

}  // namespace

void ReadClientTls(YamlReader& pool, std::optional<net::TlsSource::ServerFiles>& tls) {
  if (!pool.Has("client_tls")) return;
  YamlReader section = pool.Section("client_tls");
  ReadServerFiles(section, tls.emplace());
}

void ReadServerTrust(YamlReader& parent, std::string_view key,
                     std::optional<net::TlsSource::ClientFiles>& tls) {
  if (!parent.Has(key)) return;
  YamlReader section = parent.Section(key);
  tls.emplace();
  section.Text("ca", &tls->ca);
  section.Flag("verify", &tls->verify_server);
  section.Text("name", &tls->server_name);
  section.Text("certificate", &tls->certificate_chain);
  section.Text("key", &tls->key);
  if (tls->certificate_chain.empty() != tls->key.empty()) {
    section.Fail("certificate", "one of certificate and key", "both or none");
  }
}

void ReadAdminTls(YamlReader& admin, bool has_tokens, std::optional<AdminTlsConfig>& tls) {
  if (!admin.Has("tls")) return;
  YamlReader section = admin.Section("tls");
  tls.emplace();
  ReadServerFiles(section, tls->files);
  section.Flag("client_required", &tls->files.client_required);
  section.Texts("writers", &tls->roles.writers);
  section.Texts("readers", &tls->roles.readers);
  const bool asks = !tls->files.client_ca.empty();
  for (const char* key : {"client_required", "writers", "readers"}) {
    if (!asks && section.Has(key)) section.Fail(key, "no client_ca", "client_ca beside it");
  }
  if (asks && tls->roles.empty() && !has_tokens) {
    section.Fail("client_ca", "nobody with a role",
                 "writers or readers, \"*\" for every certificate, or admin.tokens_file");
  }
}

}  // namespace tepal::gateway
