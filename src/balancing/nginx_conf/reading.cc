#include "balancing/nginx_conf/reading.h"

#include <algorithm>
#include <array>

#include "balancing/nginx_conf/access_log_reader.h"
#include "balancing/nginx_conf/server_reader.h"

namespace tepal::nginx_conf {

namespace {

// Of the main and http contexts: what this program does by itself or has none of, without a loss.
constexpr uint16_t kDnsPort = 53;
constexpr std::array<std::string_view, 17> kHarmless = {"user",
                                                        "pid",
                                                        "events",
                                                        "worker_connections",
                                                        "worker_rlimit_nofile",
                                                        "daemon",
                                                        "sendfile",
                                                        "tcp_nopush",
                                                        "tcp_nodelay",
                                                        "default_type",
                                                        "load_module",
                                                        "types",
                                                        "server_tokens",
                                                        "http2",
                                                        "worker_shutdown_timeout",
                                                        "thread_pool",
                                                        "keepalive_requests"};

class Reader {
 public:
  explicit Reader(const std::string& file) : context_(file) { reading_.config.admin.reset(); }

  Result<Reading> Read(const std::vector<Directive>& tree) {
    Collect(tree);
    for (const Directive* server : servers_) {
      ReadServer(context_, *server, {upstreams_, matches_, reading_.config, inherited_});
    }
    TakePools();
    CheckZones();
    if (reading_.config.listeners.empty()) {
      context_.Error(1, "no server passes to an upstream (proxy_pass, grpc_pass)");
    }
    if (!context_.errors().empty()) {
      std::string text;
      for (const auto& [line, error] : context_.errors()) {
        if (!text.empty()) text += "\n";
        text += error;
      }
      return InvalidArgument(text);
    }
    reading_.notes = context_.TakeNotes();
    return std::move(reading_);
  }

 private:
  // Upstreams may stand behind the servers that pass to them.
  void Collect(const std::vector<Directive>& directives) {
    for (const Directive& directive : directives) {
      const std::string& name = directive.name;
      if (name == "http") {
        Collect(directive.block);
      } else if (name == "upstream") {
        AddUpstream(directive);
      } else if (name == "server") {
        servers_.push_back(&directive);
      } else if (name == "match") {
        if (const auto word = context_.OneWord(directive, "the match's name")) {
          matches_.emplace(*word, directive);
        }
      } else {
        ReadGlobal(directive);
      }
    }
  }

  void AddUpstream(const Directive& directive) {
    Upstream upstream = ReadUpstream(context_, directive);
    const std::string name = upstream.pool.name;
    if (!upstreams_.emplace(name, std::move(upstream)).second) {
      context_.Error(directive.line, Concat("upstream '", name, "' is there twice"));
    }
    order_.push_back(name);
  }

  void ReadGlobal(const Directive& directive) {
    const std::string& name = directive.name;
    if (name == "worker_processes") {
      const auto word = context_.OneWord(directive, "a number or auto");
      if (!word || *word == "auto") return;
      if (const auto count = context_.Count(directive, *word, 1)) {
        reading_.config.threads =
            static_cast<int>(std::min<uint32_t>(*count, gateway::kThreadsMax));
      }
    } else if (name == "resolver") {
      ReadResolver(directive);
    } else if (name == "resolver_timeout") {
      const auto word = context_.OneWord(directive, "a time");
      const auto time = word ? context_.Time(directive, *word) : std::nullopt;
      if (time && *time > 0ns) reading_.config.dns.time_max = *time;
    } else if (name == "include") {
      context_.NotHonoured(directive, "the file is not opened; write its directives here");
    } else if (name.starts_with("ssl_") || name.starts_with("proxy_") ||
               name.starts_with("grpc_")) {
      inherited_.push_back(&directive);
    } else if (ReadLimit(context_, directive, reading_.config.limits) ||
               ReadAccessLog(context_, directive, false, reading_.config)) {
      return;
    } else if (std::find(kHarmless.begin(), kHarmless.end(), name) == kHarmless.end()) {
      context_.NotHonoured(directive, name == "stream" || name == "mail"
                                          ? "only HTTP and gRPC are balanced"
                                          : "no directive that this balancer knows");
    }
  }

  void ReadResolver(const Directive& directive) {
    gateway::DnsConfig& dns = reading_.config.dns;
    dns.servers.clear();
    for (const std::string& word : directive.words) {
      const Parameter parameter = SplitParameter(word);
      if (parameter.value) {
        ReadResolverParameter(directive, parameter);
        continue;
      }
      const Result<net::HostPort> host = net::HostPort::Parse(word, kDnsPort);
      const auto address = host.ok() ? gateway::NumericAddress(*host) : std::nullopt;
      if (address.has_value()) {
        dns.servers.push_back(*address);
      } else {
        context_.Error(directive, word, "the numeric address of a name server");
      }
    }
    if (dns.servers.empty()) {
      context_.Error(directive.line, "'resolver': the address of the name server is missing");
    }
  }

  void ReadResolverParameter(const Directive& directive, const Parameter& parameter) {
    if (parameter.name == "valid") {
      const auto time = context_.Time(directive, *parameter.value);
      if (time && *time > 0ns) reading_.config.dns.valid = *time;
    } else if (parameter.name == "ipv6") {
      reading_.config.dns.ip6 = *parameter.value != "off";
    } else if (parameter.name == "status_zone") {
      reading_.config.dns.status_zone = *parameter.value;
    } else {
      context_.Error(directive, parameter.name, "valid=, ipv6= or status_zone=");
    }
  }

  void TakePools() {
    for (const std::string& name : order_) {
      Upstream& upstream = upstreams_.at(name);
      if (!upstream.used) {
        context_.NotHonoured(upstream.line, Concat("upstream ", name), "nothing passes to it");
        continue;
      }
      if (!upstream.has_check) {
        upstream.pool.pool.health.enabled = false;
        context_.Fault(upstream.line, Concat("upstream '", name,
                                             "' has no health check: a server that hangs or "
                                             "is not ready yet gets its share; add 'health_check",
                                             upstream.grpc ? " type=grpc" : " uri=/v2/health/ready",
                                             ";' to the location that passes to it"));
      }
      reading_.config.pools.push_back(std::move(upstream.pool));
    }
  }

  // Two upstreams in one zone would share one memory for their servers.
  void CheckZones() {
    std::map<std::string, std::string> upstream_of;
    for (const std::string& name : order_) {
      const Upstream& upstream = upstreams_.at(name);
      if (upstream.zone.empty()) continue;
      const auto [first, is_new] = upstream_of.emplace(upstream.zone, name);
      if (!is_new) {
        context_.Fault(upstream.zone_line,
                       Concat("zone '", upstream.zone, "' is used by the upstreams '",
                              first->second, "' and '", name, "': each needs a name of its own"));
      }
    }
  }

  Context context_;
  Reading reading_;
  std::map<std::string, Upstream> upstreams_;
  std::map<std::string, Directive> matches_;
  std::vector<std::string> order_;
  std::vector<const Directive*> servers_;
  std::vector<const Directive*> inherited_;
};

}  // namespace

std::string NoteText(const std::string& file, const Note& note) {
  std::string_view kind = "not honoured";
  if (note.kind == Note::Kind::kDiffers) kind = "honoured differently";
  if (note.kind == Note::Kind::kFault) kind = "fault";
  return Concat(file, ":", note.line, ": ", kind, ": ", note.text);
}

Result<Reading> ReadNginxConf(std::string_view text, const std::string& file) {
  ASSIGN_OR_RETURN(const std::vector<Directive> tree, ParseDirectives(text, file));
  ASSIGN_OR_RETURN(Reading reading, Reader(file).Read(tree));
  for (const gateway::PoolConfig& pool : reading.config.pools) {
    RETURN_IF_ERROR(lb::Balancer::Validate(gateway::BalancerOptions(pool, reading.config.limits))
                        .WithContext(Concat(file, ": upstream '", pool.name, "'")));
  }
  return reading;
}

}  // namespace tepal::nginx_conf
