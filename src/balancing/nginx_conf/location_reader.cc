#include "balancing/nginx_conf/location_reader.h"

#include "balancing/nginx_conf/access_log_reader.h"
#include "balancing/nginx_conf/health_reader.h"

namespace tepal::nginx_conf {

namespace {

// "proxy_read_timeout" and "grpc_read_timeout" mean the same here.
std::string_view WithoutProtocol(std::string_view name) {
  for (const std::string_view prefix : {"proxy_", "grpc_"}) {
    if (name.starts_with(prefix)) return name.substr(prefix.size());
  }
  return {};
}

class LocationReader {
 public:
  LocationReader(Context& context, const Directive& block, ServerScope scope, Found& found)
      : context_(context), block_(block), scope_(scope), found_(found), tls_(found.tls) {
    if (!block.words.empty()) path_ = block.words.back();
    exact_ = block.words.size() == 2 && block.words[0] == "=";
  }

  void Read() {
    for (const Directive& directive : block_.block) ReadOne(directive);
    if (passes_to_ != nullptr) SetEndpointTls();
    for (const Directive* check : checks_) ReadCheck(*check);
    if (path_ == "/dashboard.html" || path_ == "/status.html") found_.dashboard = true;
  }

 private:
  void ReadOne(const Directive& directive) {
    const std::string& name = directive.name;
    if (name == "proxy_pass") return ReadPass(directive, "http://", false);
    if (name == "grpc_pass") return ReadPass(directive, "grpc://", true);
    if (name == "health_check") return checks_.push_back(&directive);
    if (name == "api") return ReadApi(directive);
    if (name == "return") return ReadReturn(directive);
    if (name == "status_zone" || name == "root" || name == "index") return;
    if (ReadLimit(context_, directive, scope_.config.limits)) return;
    if (ReadAccessLog(context_, directive, true, scope_.config)) return;
    if (ReadTls(context_, directive, tls_)) return;
    if (ReadPassing(context_, directive, found_)) return;
    context_.NotHonoured(directive, "no directive of a location that this balancer knows");
  }

  void ReadApi(const Directive& directive) {
    found_.api = true;
    found_.api_line = directive.line;
    for (const std::string& word : directive.words) {
      if (word == "write=on") {
        found_.api_writes = true;
      } else if (word != "write=off") {
        context_.Error(directive, word, "write=on or write=off");
      }
    }
    if (path_ != "/api" && path_ != "/api/") {
      context_.Differs(directive.line, Concat("the API is at /api, not at ", path_));
    }
  }

  // The recipe's "/" to the dashboard is what the admin server does by itself.
  void ReadReturn(const Directive& directive) {
    const bool to_dashboard =
        path_ == "/" && directive.words.size() == 2 && directive.words[1] == "/dashboard.html";
    if (!to_dashboard) context_.NotHonoured(directive, "it answers nothing by itself");
  }

  void ReadPass(const Directive& directive, std::string_view scheme, bool grpc) {
    const auto word = context_.OneWord(directive, Concat(scheme, "UPSTREAM"));
    if (!word) return;
    std::string_view name = *word;
    for (const std::string_view secure : {"https://", "grpcs://"}) {
      if (!name.starts_with(secure)) continue;
      over_tls_ = true;
      name.remove_prefix(secure.size());
    }
    if (name.starts_with(scheme)) name.remove_prefix(scheme.size());
    if (const size_t slash = name.find('/'); slash != std::string_view::npos) {
      if (slash + 1 < name.size()) {
        context_.NotHonoured(directive.line, Concat("the path of ", *word),
                             "paths are passed on as they came");
      }
      name = name.substr(0, slash);
    }
    const auto upstream = scope_.upstreams.find(std::string(name));
    if (upstream == scope_.upstreams.end()) {
      context_.Error(directive, *word, "the name of an upstream of this file");
      return;
    }
    passes_to_ = &upstream->second;
    pass_line_ = directive.line;
    upstream->second.used = true;
    upstream->second.grpc = upstream->second.grpc || grpc;
    if (found_.upstream != nullptr && found_.upstream != passes_to_) {
      context_.NotHonoured(directive, "a server passes all paths to one upstream, the first");
    } else {
      found_.upstream = passes_to_;
    }
    if (path_ != "/" || exact_) {
      context_.Differs(block_.line, Concat("not only ", path_, " is passed on, every path is"));
    }
  }

  // All who pass to an upstream reach it the same way.
  void SetEndpointTls() {
    std::optional<net::TlsSource::ClientFiles>& tls = passes_to_->pool.endpoint_tls;
    if (passes_to_->passed_before && over_tls_ != tls.has_value()) {
      context_.NotHonoured(pass_line_, over_tls_ ? "TLS to the upstream" : "no TLS to the upstream",
                           "an upstream is reached as the first who passes to it says");
    } else if (over_tls_ && !tls.has_value()) {
      tls = tls_.ForEndpoints(passes_to_->pool.name);
    }
    passes_to_->passed_before = true;
  }

  void ReadCheck(const Directive& directive) {
    if (passes_to_ == nullptr) {
      context_.Error(directive.line, "'health_check': the location passes to no upstream");
      return;
    }
    if (passes_to_->has_check) {
      context_.Differs(directive.line, "an upstream has one health check: the last counts");
    }
    passes_to_->has_check = true;
    ReadHealthCheck(context_, directive, scope_.matches, passes_to_->pool.pool.health);
  }

  Context& context_;
  const Directive& block_;
  ServerScope scope_;
  Found& found_;
  std::string path_;
  bool exact_ = false;
  TlsFound tls_;
  bool over_tls_ = false;
  int pass_line_ = 0;
  Upstream* passes_to_ = nullptr;
  std::vector<const Directive*> checks_;  // Read last: they need the upstream.
};

}  // namespace

bool ReadPassing(Context& context, const Directive& directive, Found& found) {
  const std::string_view name = WithoutProtocol(directive.name);
  if (name.empty() || name == "pass") return false;
  const std::string word = directive.words.empty() ? std::string() : directive.words[0];
  if (name == "read_timeout") {
    if (const auto time = context.Time(directive, word); time && *time > 0ns) {
      found.read_time_max = *time;
    }
  } else if (name == "connect_timeout") {
    if (const auto time = context.Time(directive, word); time && *time > 0ns) {
      found.connect_time_max = *time;
    }
  } else if (name == "next_upstream_timeout") {
    context.NotHonoured(directive, "the queue and each try have time limits of their own");
  } else if (name == "send_timeout") {
    context.NotHonoured(directive, "it is 60 s for every endpoint");
  } else if (name == "next_upstream") {
    if (word == "off") found.tries_max = 1;
    // What else may be tried again is said by docs/retries.md, whatever the words here.
    if (word != "off") {
      context.Differs(directive.line, "what is tried again is said by docs/retries.md");
    }
  } else if (name == "next_upstream_tries") {
    const auto tries = context.Count(directive, word, 0);
    if (tries && *tries > 0 && *tries <= 100) found.tries_max = *tries;
  } else if (name == "http_version" || name == "buffering" || name == "request_buffering" ||
             name == "buffers" || name == "buffer_size" || name == "busy_buffers_size" ||
             name == "socket_keepalive") {
    // Connections upstream are kept and bodies are held as docs/limits.md says.
  } else if (name == "set_header" &&
             (EqualsIgnoreCase(word, "connection") || EqualsIgnoreCase(word, "host") ||
              EqualsIgnoreCase(word, "x-forwarded-for") ||
              EqualsIgnoreCase(word, "x-forwarded-proto"))) {
    // Host is passed on as it came, the others are set by themselves.
  } else {
    context.NotHonoured(directive, "requests are passed on as they came");
  }
  return true;
}

void ApplyPassing(const Found& found, Upstream& upstream) {
  if (found.tries_max) upstream.pool.tries.tries_max = *found.tries_max;
  if (found.read_time_max) {  // Between two reads, the first of which is the head's.
    upstream.pool.tries.try_time_max = *found.read_time_max;
    upstream.pool.tries.answer_idle_max = *found.read_time_max;
  }
  if (found.connect_time_max) upstream.pool.tries.connect_time_max = *found.connect_time_max;
}

void ReadLocation(Context& context, const Directive& block, ServerScope scope, Found& found) {
  LocationReader(context, block, scope, found).Read();
}

}  // namespace tepal::nginx_conf
