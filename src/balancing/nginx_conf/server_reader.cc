#include "balancing/nginx_conf/server_reader.h"

#include <algorithm>
#include <array>
#include <set>

#include "balancing/nginx_conf/access_log_reader.h"
#include "balancing/nginx_conf/location_reader.h"

namespace tepal::nginx_conf {

namespace {

// Parameters of listen that change nothing here: HTTP/1.1 and HTTP/2 share every port, and the
// kernel's own defaults are kept.
constexpr std::array<std::string_view, 4> kListenHarmless = {"http2", "default_server", "default",
                                                             "reuseport"};

std::optional<env::Address> ReadListenAddress(Context& context, const Directive& directive) {
  std::string text = directive.words[0];
  if (text.starts_with("*:")) text = "0.0.0.0" + text.substr(1);
  if (text.starts_with("localhost")) text = "127.0.0.1" + text.substr(9);
  const bool port_only =
      std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (port_only) text = "0.0.0.0:" + text;
  const bool has_port =
      text.starts_with("unix:") || text.rfind(':') > text.rfind(']') ||
      (text.find(']') == std::string::npos && text.find(':') != std::string::npos);
  if (!has_port || text.ends_with(']')) text += ":80";
  const Result<env::Address> address = env::Address::Parse(text);
  if (address.ok()) return *address;
  context.Error(directive, directive.words[0], "a port, ADDRESS:PORT or unix:/path");
  return std::nullopt;
}

class ServerReader {
 public:
  ServerReader(Context& context, ServerScope scope) : context_(context), scope_(scope) {}

  void Read(const Directive& directive) {
    const std::string& name = directive.name;
    if (name == "listen") return ReadListen(directive);
    if (name == "location") return ReadLocation(context_, directive, scope_, found_);
    if (ReadLimit(context_, directive, scope_.config.limits)) return;
    if (ReadAccessLog(context_, directive, true, scope_.config)) return;
    // Every host name is served; one root is as good as none where nothing is read from it.
    const bool harmless = name == "http2" || name == "status_zone" || name == "root" ||
                          name == "index" || name == "server_tokens";
    if (harmless) return;
    if (name == "server_name") {
      const bool any =
          directive.words.size() == 1 && (directive.words[0] == "_" || directive.words[0].empty());
      if (!any) context_.NotHonoured(directive, "every host name is served the same");
      return;
    }
    if (ReadTls(context_, directive, found_.tls)) return;
    if (ReadPassing(context_, directive, found_)) return;
    context_.NotHonoured(directive, "no directive of a server that this balancer knows");
  }

  void Finish(const Directive& block) {
    if (listens_.empty()) {
      listens_.push_back({env::Address{env::Address::Family::kIp4, "0.0.0.0", 80}, block.line});
    }
    if (found_.upstream != nullptr) {
      ApplyPassing(found_, *found_.upstream);
      for (const Listen& listen : listens_) AddListener(listen);
      if (found_.api) {
        context_.NotHonoured(found_.api_line, "api beside proxy_pass",
                             "the admin API has an address of its own");
      }
    } else if (found_.api || found_.dashboard) {
      SetAdmin();
    } else {
      context_.NotHonoured(block, "it passes to no upstream and has no api");
    }
  }

 private:
  struct Listen {
    env::Address address;
    int line;
    bool tls = false;
  };

  void ReadListen(const Directive& directive) {
    if (directive.words.empty()) {
      return context_.Error(directive.line, "'listen': expected a port or an address");
    }
    bool tls = false;
    for (size_t i = 1; i < directive.words.size(); ++i) {
      const std::string& word = directive.words[i];
      tls = tls || word == "ssl";
      if (word == "ssl" || std::find(kListenHarmless.begin(), kListenHarmless.end(), word) !=
                               kListenHarmless.end()) {
        continue;
      }
      context_.NotHonoured(directive.line, Concat("listen … ", word),
                           "the address is listened at as every other");
    }
    if (const auto address = ReadListenAddress(context_, directive)) {
      listens_.push_back({*address, directive.line, tls});
    }
  }

  // What clients are shown at an address; nothing, and an error, when it is not all there.
  std::optional<net::TlsSource::ServerFiles> Certificates(const Listen& listen) {
    net::TlsSource::ServerFiles files = found_.tls.clients;
    if (files.certificate_chain.empty() || files.key.empty()) {
      context_.Error(listen.line,
                     "'listen … ssl': ssl_certificate and ssl_certificate_key are missing");
      return std::nullopt;
    }
    if (found_.tls.verify_clients && files.client_ca.empty()) {
      context_.Error(listen.line, "'ssl_verify_client on': ssl_client_certificate is missing");
      return std::nullopt;
    }
    if (!found_.tls.verify_clients) files.client_ca.clear();
    return files;
  }

  void SetCertificates(const Listen& listen) {
    const auto files = Certificates(listen);
    if (!files.has_value()) return;
    std::optional<net::TlsSource::ServerFiles>& tls = found_.upstream->pool.client_tls;
    const bool other =
        tls.has_value() && (tls->certificate_chain != files->certificate_chain ||
                            tls->key != files->key || tls->client_ca != files->client_ca);
    if (other) {
      context_.NotHonoured(listen.line, "another certificate",
                           "the servers of one upstream show the first one's");
    } else {
      tls = *files;
    }
  }

  void AddListener(const Listen& listen) {
    for (const gateway::ListenerConfig& other : scope_.config.listeners) {
      if (other.address == listen.address && listen.address.port != 0) {
        context_.NotHonoured(listen.line, Concat("listen ", listen.address.ToString()),
                             "an address is served by the first server that names it");
        return;
      }
    }
    if (listen.tls) SetCertificates(listen);
    scope_.config.listeners.push_back({listen.address, found_.upstream->pool.name, listen.tls});
  }

  void SetAdmin() {
    for (const Listen& listen : listens_) {
      if (scope_.config.admin.has_value()) {
        context_.NotHonoured(listen.line, Concat("listen ", listen.address.ToString()),
                             "there is one admin address");
      } else {
        scope_.config.admin = listen.address;
        scope_.config.admin_writes = found_.api_writes;
        if (listen.tls) SetAdminTls(listen);
      }
    }
  }

  // As in nginx, whoever shows a certificate that is verified may do what the API may.
  void SetAdminTls(const Listen& listen) {
    const auto files = Certificates(listen);
    if (!files.has_value()) return;
    gateway::AdminTlsConfig& tls = scope_.config.admin_tls.emplace();
    tls.files = *files;
    if (!files->client_ca.empty()) tls.roles.writers = {"*"};
  }

  Context& context_;
  ServerScope scope_;
  Found found_;
  std::vector<Listen> listens_;
};

}  // namespace

bool ReadLimit(Context& context, const Directive& directive, gateway::LimitsConfig& limits) {
  const std::string& name = directive.name;
  const auto time = [&](Duration* into) {
    const auto word = directive.words.empty() ? std::string() : directive.words[0];
    if (const auto value = context.Time(directive, word); value && *value > 0ns) *into = *value;
    return true;
  };
  if (name == "client_header_timeout") return time(&limits.header_time_max);
  if (name == "client_body_timeout") return time(&limits.body_idle_max);
  if (name == "keepalive_timeout") return time(&limits.idle_max);
  if (name == "send_timeout") return time(&limits.write_idle_max);
  if (name == "client_max_body_size") {
    const auto word = context.OneWord(directive, "a size");
    const auto size = word ? context.Size(directive, *word) : std::nullopt;
    if (size) limits.body_bytes_max = *size == 0 ? 1ull << 40 : *size;
    return true;
  }
  if (name == "large_client_header_buffers") {
    if (directive.words.size() != 2) {
      context.Error(directive.line, "'large_client_header_buffers': expected a number and a size");
      return true;
    }
    const auto count = context.Count(directive, directive.words[0], 1);
    const auto size = context.Size(directive, directive.words[1]);
    if (count && size)
      limits.header_bytes_max = std::clamp<uint64_t>(*count * *size, 1024, 16 << 20);
    return true;
  }
  if (name == "http2_max_concurrent_streams") {
    const auto word = context.OneWord(directive, "a number");
    const auto count = word ? context.Count(directive, *word, 1) : std::nullopt;
    if (count) limits.streams_max = *count;
    return true;
  }
  return false;
}

void ReadServer(Context& context, const Directive& block, ServerScope scope) {
  ServerReader reader(context, scope);
  // What stands outside counts where the inner block says nothing.
  for (const Directive* directive : scope.inherited) reader.Read(*directive);
  for (const Directive& directive : block.block) {
    if (directive.name != "location") reader.Read(directive);
  }
  for (const Directive& directive : block.block) {
    if (directive.name == "location") reader.Read(directive);
  }
  reader.Finish(block);
}

}  // namespace tepal::nginx_conf
