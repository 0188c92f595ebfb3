#include "balancing/nginx_conf/health_reader.h"

namespace tepal::nginx_conf {

namespace {

class HealthReader {
 public:
  HealthReader(Context& context, const Directive& directive,
               const std::map<std::string, Directive>& matches, lb::HealthCheck::Options& health)
      : context_(context), directive_(directive), matches_(matches), health_(health) {}

  void Read() {
    // What the directive means when it says no more.
    health_.enabled = true;
    health_.path = "/";
    health_.interval = 5s;
    health_.fails = 1;
    health_.passes = 1;
    for (const std::string& word : directive_.words) ReadParameter(SplitParameter(word));
    if (!is_grpc_ && !matched_) {
      context_.Differs(directive_.line, "status 200 passes, other 2xx and 3xx do not");
    }
  }

 private:
  void ReadParameter(const Parameter& parameter) {
    const std::string_view name = parameter.name;
    if (!parameter.value) {
      // New servers always have to pass first; what a reload keeps, it keeps with its health.
      if (name != "mandatory" && name != "persistent") {
        context_.Error(directive_, name, "a parameter of health_check, as uri=/v2/health/ready");
      }
      return;
    }
    const std::string_view value = *parameter.value;
    if (name == "interval") {
      if (const auto time = context_.Time(directive_, value); time && *time > 0ns) {
        health_.interval = *time;
      }
    } else if (name == "fails") {
      if (const auto count = context_.Count(directive_, value, 1)) health_.fails = *count;
    } else if (name == "passes") {
      if (const auto count = context_.Count(directive_, value, 1)) health_.passes = *count;
    } else if (name == "uri") {
      ReadUri(value);
    } else if (name == "match") {
      ReadMatch(value);
    } else {
      ReadUnhonoured(name, value);
    }
  }

  void ReadUri(std::string_view value) {
    if (value.starts_with('/')) {
      health_.path = value;
    } else {
      context_.Error(directive_, value, "a uri that begins with '/'");
    }
  }

  void ReadUnhonoured(std::string_view name, std::string_view value) {
    if (name == "keepalive_time") return;  // Connections of checks are kept.
    if (name == "type" && value == "http") return;
    if (name == "type" && value == "grpc") {
      is_grpc_ = true;
      health_.enabled = false;
      context_.NotHonoured(directive_.line, "health_check type=grpc",
                           "endpoints are checked over HTTP; there is no check of this upstream");
      return;
    }
    const bool known = name == "jitter" || name == "port" || name == "type" ||
                       name == "grpc_service" || name == "grpc_status";
    if (known) {
      context_.NotHonoured(directive_.line, Concat("health_check ", name, "="),
                           name == "jitter" ? "checks are not all sent at once anyhow"
                                            : "the address and protocol of requests are checked");
    } else {
      context_.Error(directive_, name, "a parameter of health_check, as uri=/v2/health/ready");
    }
  }

  void ReadMatch(std::string_view name) {
    const auto match = matches_.find(std::string(name));
    if (match == matches_.end()) {
      context_.Error(directive_, name, "the name of a match block of this file");
      return;
    }
    matched_ = true;
    for (const Directive& rule : match->second.block) {
      const bool is_default =
          rule.name == "status" && rule.words.size() == 1 && rule.words[0] == "200";
      if (!is_default) context_.NotHonoured(rule, "a check passes with status 200, whatever else");
    }
  }

  Context& context_;
  const Directive& directive_;
  const std::map<std::string, Directive>& matches_;
  lb::HealthCheck::Options& health_;
  bool is_grpc_ = false;
  bool matched_ = false;
};

}  // namespace

void ReadHealthCheck(Context& context, const Directive& directive,
                     const std::map<std::string, Directive>& matches,
                     lb::HealthCheck::Options& health) {
  HealthReader(context, directive, matches, health).Read();
}

}  // namespace tepal::nginx_conf
