#include "balancing/nginx_conf/tls_reader.h"

#include <algorithm>
#include <array>

namespace tepal::nginx_conf {

namespace {

// What TLS sessions are kept with changes how fast a client comes back, and nothing else.
constexpr std::array<std::string_view, 7> kHarmless = {
    "session_cache", "session_timeout", "session_tickets",      "session_ticket_key",
    "buffer_size",   "session_reuse",   "prefer_server_ciphers"};

constexpr std::string_view kOnOff = "on or off";

// The file's name; a certificate that is written into the file, or is another for each request, is
// none.
void ReadFile(Context& context, const Directive& directive, std::string& into) {
  const auto word = context.OneWord(directive, "a file");
  if (!word) return;
  if (word->starts_with("data:") || word->find('$') != std::string_view::npos ||
      word->starts_with("engine:") || word->starts_with("store:")) {
    return context.Error(directive, *word, "a file");
  }
  into = *word;
}

void ReadFlag(Context& context, const Directive& directive, bool& into) {
  const auto word = context.OneWord(directive, kOnOff);
  if (!word) return;
  if (*word == "on" || *word == "off") {
    into = *word == "on";
  } else {
    context.Error(directive, *word, kOnOff);
  }
}

void ReadProtocols(Context& context, const Directive& directive) {
  const auto has = [&](std::string_view version) {
    return std::find(directive.words.begin(), directive.words.end(), version) !=
           directive.words.end();
  };
  if (!has("TLSv1.2")) {
    context.NotHonoured(directive, "TLS 1.2 is spoken, too");
  } else if (!has("TLSv1.3") || directive.words.size() > 2) {
    context.Differs(directive.line, "TLS 1.2 and 1.3 are spoken, nothing older");
  }
}

void ReadVerifyClient(Context& context, const Directive& directive, TlsFound& found) {
  const auto word = context.OneWord(directive, kOnOff);
  if (!word) return;
  found.verify_clients = *word == "on";
  if (word->starts_with("optional")) {
    context.NotHonoured(directive, "a certificate is wanted from every client or from none");
  } else if (*word != "on" && *word != "off") {
    context.Error(directive, *word, "on, off or optional");
  }
}

// For both sides.
bool ReadCommon(Context& context, const Directive& directive, std::string_view name) {
  if (name == "protocols") {
    ReadProtocols(context, directive);
  } else if (std::find(kHarmless.begin(), kHarmless.end(), name) == kHarmless.end()) {
    context.NotHonoured(directive, "ciphers, curves and the like are OpenSSL's defaults");
  }
  return true;
}

bool ReadClients(Context& context, const Directive& directive, std::string_view name,
                 TlsFound& found) {
  if (name == "certificate") {
    ReadFile(context, directive, found.clients.certificate_chain);
  } else if (name == "certificate_key") {
    ReadFile(context, directive, found.clients.key);
  } else if (name == "client_certificate" || name == "trusted_certificate") {
    ReadFile(context, directive, found.clients.client_ca);
  } else if (name == "verify_client") {
    ReadVerifyClient(context, directive, found);
  } else {
    return ReadCommon(context, directive, name);
  }
  return true;
}

bool ReadEndpoints(Context& context, const Directive& directive, std::string_view name,
                   TlsFound& found) {
  if (name == "certificate") {
    ReadFile(context, directive, found.endpoints.certificate_chain);
  } else if (name == "certificate_key") {
    ReadFile(context, directive, found.endpoints.key);
  } else if (name == "trusted_certificate") {
    ReadFile(context, directive, found.endpoints.ca);
  } else if (name == "verify") {
    ReadFlag(context, directive, found.endpoints.verify_server);
  } else if (name == "server_name") {
    ReadFlag(context, directive, found.sends_name);
  } else if (name == "name") {
    if (const auto word = context.OneWord(directive, "a name")) found.endpoints.server_name = *word;
  } else {
    return ReadCommon(context, directive, name);
  }
  return true;
}

}  // namespace

// nginx verifies, and names, the host of proxy_pass unless proxy_ssl_name says another.
net::TlsSource::ClientFiles TlsFound::ForEndpoints(const std::string& upstream) const {
  net::TlsSource::ClientFiles files = endpoints;
  if (files.server_name.empty() && (files.verify_server || sends_name)) {
    files.server_name = upstream;
  }
  return files;
}

bool ReadTls(Context& context, const Directive& directive, TlsFound& found) {
  const std::string_view name = directive.name;
  for (const std::string_view prefix : {"proxy_ssl_", "grpc_ssl_"}) {
    if (name.starts_with(prefix)) {
      return ReadEndpoints(context, directive, name.substr(prefix.size()), found);
    }
  }
  constexpr std::string_view kClients = "ssl_";
  return name.starts_with(kClients) &&
         ReadClients(context, directive, name.substr(kClients.size()), found);
}

}  // namespace tepal::nginx_conf
