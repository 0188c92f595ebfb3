#include "balancing/nginx_conf/health_reader.h"

#include "balancing/nginx_conf/match_reader.h"

namespace tepal::nginx_conf {

namespace {

class HealthReader {
 public:
  HealthReader(Context& context, const Directive& directive,
               const std::map<std::string, Directive>& matches, lb::HealthCheck::Options& health)
      : context_(context), directive_(directive), matches_(matches), health_(health) {}

  void Read() {
    // What the directive means when it says no more.
    health_ = lb::HealthCheck::Options();
    health_.path = "/";
    health_.interval = 5s;
    health_.fails = 1;
    health_.passes = 1;
    health_.match.statuses = {{200, 399}};
    for (const std::string& word : directive_.words) ReadParameter(SplitParameter(word));
    if (health_.kind == lb::HealthCheck::Kind::kGrpcHealth) {
      for (const std::string_view name : http_only_) Useless(name, "type=http");
    } else {
      for (const std::string_view name : grpc_only_) Useless(name, "type=grpc");
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
    } else if (name == "jitter") {
      if (const auto time = context_.Time(directive_, value)) health_.jitter = *time;
    } else if (name == "port") {
      if (const auto port = context_.Count(directive_, value, 1); port && *port <= 65535) {
        health_.port = static_cast<uint16_t>(*port);
      } else if (port) {
        context_.Error(directive_, value, "a port, 1 to 65535");
      }
    } else if (name == "uri") {
      http_only_.push_back(name);
      ReadUri(value);
    } else if (name == "match") {
      http_only_.push_back(name);
      ReadMatchName(value);
    } else if (name == "type") {
      ReadType(value);
    } else if (name == "grpc_service") {
      grpc_only_.push_back(name);
      health_.service = value;
    } else if (name == "grpc_status") {
      grpc_only_.push_back(name);
      const auto code = context_.Count(directive_, value, 0);
      if (code && *code > 16) context_.Error(directive_, value, "a gRPC status, 0 to 16");
      if (code && *code <= 16) health_.grpc_status = static_cast<int>(*code);
    } else if (name != "keepalive_time") {  // Connections of checks are kept.
      context_.Error(directive_, name, "a parameter of health_check, as uri=/v2/health/ready");
    }
  }

  void ReadUri(std::string_view value) {
    if (value.starts_with('/')) {
      health_.path = value;
    } else {
      context_.Error(directive_, value, "a uri that begins with '/'");
    }
  }

  void ReadType(std::string_view value) {
    if (value == "grpc") {
      health_.kind = lb::HealthCheck::Kind::kGrpcHealth;
    } else if (value != "http") {
      context_.Error(directive_, value, "type=http or type=grpc");
    }
  }

  void ReadMatchName(std::string_view name) {
    const auto match = matches_.find(std::string(name));
    if (match == matches_.end()) {
      context_.Error(directive_, name, "the name of a match block of this file");
    } else {
      health_.match = ReadMatch(context_, match->second);
    }
  }

  void Useless(std::string_view name, std::string_view type) {
    context_.Fault(directive_.line,
                   Concat("health_check ", name, "= means something with ", type, " only"));
  }

  Context& context_;
  const Directive& directive_;
  const std::map<std::string, Directive>& matches_;
  lb::HealthCheck::Options& health_;
  std::vector<std::string_view> http_only_;  // Given.
  std::vector<std::string_view> grpc_only_;
};

}  // namespace

void ReadHealthCheck(Context& context, const Directive& directive,
                     const std::map<std::string, Directive>& matches,
                     lb::HealthCheck::Options& health) {
  HealthReader(context, directive, matches, health).Read();
}

}  // namespace tepal::nginx_conf
