#include "balancing/nginx_conf/upstream_reader.h"

#include <algorithm>

#include "balancing/nginx_conf/hash_reader.h"

namespace tepal::nginx_conf {

namespace {

constexpr uint16_t kPortOfNginx = 80;  // Of a server that names none.

class UpstreamReader {
 public:
  UpstreamReader(Context& context, Upstream& upstream) : context_(context), upstream_(upstream) {}

  void Read(const Directive& directive) {
    const std::string& name = directive.name;
    if (name == "server") return ReadServer(directive);
    if (name == "zone") return ReadZone(directive);
    if (name == "queue") return ReadQueue(directive);
    if (name == "least_conn") {
      upstream_.pool.pool.policy = lb::ChoicePolicy::kLeastOutstanding;
      return;
    }
    if (name == "least_time") return ReadLeastTime(directive);
    if (name == "random") return ReadRandom(directive);
    if (name == "hash") return ReadHash(directive);
    if (name == "ip_hash") {
      return SetHash(lb::HashKey(std::vector<lb::HashKey::Part>{{lb::HashKey::From::kClientNet}}));
    }
    if (name.starts_with("keepalive")) return;  // Connections are kept by themselves.
    context_.NotHonoured(directive, WhyNot(name));
  }

  void Finish() {
    lb::Ejection::Options& ejection = upstream_.pool.pool.ejection;
    ejection.enabled = max_fails_ > 0;
    if (max_fails_ > 0) ejection.failures = max_fails_;
    ejection.time_base = fail_timeout_;
    ejection.time_max = std::max(ejection.time_max, fail_timeout_);
  }

 private:
  static std::string_view WhyNot(std::string_view name) {
    if (name == "sticky") return "requests are not bound to servers by cookies";
    if (name == "state") return "changes made by the API are not written to a file";
    return "no directive of an upstream that this balancer knows";
  }

  void ReadZone(const Directive& directive) {
    if (directive.words.empty() || directive.words.size() > 2) {
      return context_.Error(directive.line, "'zone': expected a name and a size");
    }
    upstream_.zone = directive.words[0];
    upstream_.zone_line = directive.line;
  }

  void ReadQueue(const Directive& directive) {
    if (directive.words.empty()) {
      return context_.Error(directive.line, "'queue': expected the number of requests");
    }
    lb::Dispatcher::Options& pool = upstream_.pool.pool;
    pool.queue_time_max = 60s;
    if (const auto size = context_.Count(directive, directive.words[0], 1)) {
      pool.queue_size_max = *size;
    }
    for (size_t i = 1; i < directive.words.size(); ++i) {
      const Parameter parameter = SplitParameter(directive.words[i]);
      if (parameter.name != "timeout" || !parameter.value) {
        context_.Error(directive, directive.words[i], "timeout=TIME");
      } else if (const auto time = context_.Time(directive, *parameter.value)) {
        pool.queue_time_max = *time;
      }
    }
  }

  void ReadRandom(const Directive& directive) {
    const std::vector<std::string>& words = directive.words;
    upstream_.pool.pool.policy = lb::ChoicePolicy::kPowerOfTwo;
    const bool two = !words.empty() && words[0] == "two";
    if (two && (words.size() == 1 || words[1] == "least_conn")) return;
    const bool known =
        words.empty() ||
        (two && (words[1] == "least_time=header" || words[1] == "least_time=last_byte"));
    if (!known) {
      return context_.Error(directive, words.back(),
                            "two, and least_conn, least_time=header or least_time=last_byte");
    }
    context_.Differs(directive.line,
                     "random is honoured as 'random two least_conn': the less busy of two");
  }

  void ReadLeastTime(const Directive& directive) {
    const std::vector<std::string>& words = directive.words;
    upstream_.pool.pool.policy = lb::ChoicePolicy::kLeastTime;
    const bool right = !words.empty() && words.size() <= 2 &&
                       (words[0] == "header" || words[0] == "last_byte") &&
                       (words.size() == 1 || words[1] == "inflight");
    if (!right) {
      return context_.Error(directive, words.empty() ? "" : words.back(),
                            "header or last_byte, and inflight or nothing");
    }
    if (words[0] == "header") {
      context_.Differs(directive.line, "least_time goes by the time to the last byte");
    }
  }

  void ReadHash(const Directive& directive) {
    const std::vector<std::string>& words = directive.words;
    if (words.empty() || words.size() > 2 || (words.size() == 2 && words[1] != "consistent")) {
      return context_.Error(directive, words.empty() ? "" : words.back(),
                            "a key, as $request_uri, and consistent or nothing");
    }
    const auto key = ReadHashKey(context_, directive, words[0]);
    if (!key.has_value()) return;
    if (words.size() == 1) context_.Differs(directive.line, "hash is honoured as 'consistent'");
    SetHash(*key);
  }

  void SetHash(const lb::HashKey& key) {
    upstream_.pool.pool.policy = lb::ChoicePolicy::kHash;
    upstream_.pool.hash_key = key;
  }

  void ReadServer(const Directive& directive) {
    if (directive.words.empty()) {
      return context_.Error(directive.line, "'server': expected an address");
    }
    gateway::EndpointConfig endpoint;
    const Result<net::HostPort> host = net::HostPort::Parse(directive.words[0], kPortOfNginx);
    if (!host.ok()) return context_.Error(directive.line, host.status().message());
    const bool is_parameter =
        directive.words[0] == "resolve" || directive.words[0].find('=') != std::string::npos;
    if (is_parameter) {
      return context_.Error(directive.line,
                            Concat("'server': got '", directive.words[0],
                                   "' where the address should be; the address is missing"));
    }
    endpoint.host = *host;
    for (size_t i = 1; i < directive.words.size(); ++i) {
      ReadServerParameter(directive, SplitParameter(directive.words[i]), endpoint);
    }
    upstream_.pool.endpoints.push_back(std::move(endpoint));
  }

  void ReadServerParameter(const Directive& directive, const Parameter& parameter,
                           gateway::EndpointConfig& endpoint) {
    const std::string_view name = parameter.name;
    if (parameter.value) return ReadServerValue(directive, name, *parameter.value, endpoint);
    if (name == "down") {
      endpoint.down = true;
    } else if (name == "resolve") {
      endpoint.resolve = !gateway::NumericAddress(endpoint.host).has_value();
    } else if (name == "backup") {
      endpoint.backup = true;
    } else if (name == "drain") {
      context_.NotHonoured(directive.line, "server … drain", "drain it through the API");
    } else {
      context_.Error(directive, name, "a parameter of a server, as weight=2, down or resolve");
    }
  }

  void ReadServerValue(const Directive& directive, std::string_view name, std::string_view value,
                       gateway::EndpointConfig& endpoint) {
    if (name == "weight") {
      if (const auto weight = context_.Count(directive, value, 1)) endpoint.weight = *weight;
    } else if (name == "max_conns") {
      endpoint.in_flight_max = context_.Count(directive, value, 0);
    } else if (name == "max_fails") {
      if (const auto fails = context_.Count(directive, value, 0)) Agree(directive, *fails);
    } else if (name == "fail_timeout") {
      if (const auto time = context_.Time(directive, value)) Agree(directive, *time);
    } else if (name == "slow_start") {
      if (const auto time = context_.Time(directive, value)) endpoint.slow_start = *time;
    } else if (name == "service") {
      endpoint.service = value;
    } else if (name == "route") {
      context_.NotHonoured(directive.line, Concat("server … ", name, "="),
                           "it has no meaning here");
    } else {
      context_.Error(directive, name, "a parameter of a server, as weight=2, max_conns=10 or down");
    }
  }

  // These are properties of the pool here: the first one given counts.
  void Agree(const Directive& directive, uint32_t max_fails) {
    if (max_fails_given_ && max_fails != max_fails_) {
      context_.Differs(directive.line,
                       Concat("max_fails is one for all servers of an upstream: ", max_fails_));
      return;
    }
    max_fails_ = max_fails;
    max_fails_given_ = true;
  }
  void Agree(const Directive& directive, Duration fail_timeout) {
    if (fail_timeout <= 0ns) return context_.Error(directive, "0", "a fail_timeout above 0");
    if (fail_timeout_given_ && fail_timeout != fail_timeout_) {
      context_.Differs(directive.line,
                       "fail_timeout is one for all servers of an upstream: the "
                       "first");
      return;
    }
    fail_timeout_ = fail_timeout;
    fail_timeout_given_ = true;
  }

  Context& context_;
  Upstream& upstream_;
  uint32_t max_fails_ = 1;
  Duration fail_timeout_ = 10s;
  bool max_fails_given_ = false;
  bool fail_timeout_given_ = false;
};

}  // namespace

Upstream ReadUpstream(Context& context, const Directive& block) {
  Upstream upstream;
  upstream.line = block.line;
  if (const auto name = context.OneWord(block, "the upstream's name")) upstream.pool.name = *name;
  upstream.pool.pool.policy = lb::ChoicePolicy::kRoundRobin;
  UpstreamReader reader(context, upstream);
  for (const Directive& directive : block.block) reader.Read(directive);
  reader.Finish();
  if (upstream.pool.endpoints.empty() && block.has_block) {
    context.Error(block.line, Concat("upstream '", upstream.pool.name, "' has no server"));
  }
  return upstream;
}

}  // namespace tepal::nginx_conf
