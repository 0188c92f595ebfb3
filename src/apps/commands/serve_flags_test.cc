#include "apps/commands/serve_flags.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace tepal::commands {
namespace {

// Every flag of tritonserver 2.73, --help left out.
constexpr std::string_view kTritonFlags[] = {
    "id",
    "exit-timeout-secs",
    "log-verbose",
    "log-info",
    "log-warning",
    "log-error",
    "log-format",
    "log-file",
    "model-store",
    "model-repository",
    "exit-on-error",
    "disable-auto-complete-config",
    "strict-readiness",
    "model-control-mode",
    "repository-poll-secs",
    "load-model",
    "model-config-name",
    "model-load-thread-count",
    "model-load-retry-count",
    "model-namespacing",
    "enable-peer-access",
    "allow-http",
    "http-address",
    "http-port",
    "reuse-http-port",
    "http-header-forward-pattern",
    "http-thread-count",
    "http-max-input-size",
    "http-restricted-api",
    "allow-grpc",
    "grpc-address",
    "grpc-port",
    "reuse-grpc-port",
    "grpc-header-forward-pattern",
    "grpc-infer-thread-count",
    "grpc-infer-allocation-pool-size",
    "grpc-max-response-pool-size",
    "grpc-use-ssl",
    "grpc-use-ssl-mutual",
    "grpc-server-cert",
    "grpc-server-key",
    "grpc-root-cert",
    "grpc-infer-response-compression-level",
    "grpc-keepalive-time",
    "grpc-keepalive-timeout",
    "grpc-keepalive-permit-without-calls",
    "grpc-http2-max-pings-without-data",
    "grpc-http2-min-recv-ping-interval-without-data",
    "grpc-http2-max-ping-strikes",
    "grpc-max-connection-age",
    "grpc-max-connection-age-grace",
    "grpc-restricted-protocol",
    "allow-sagemaker",
    "sagemaker-port",
    "sagemaker-safe-port-range",
    "sagemaker-thread-count",
    "allow-vertex-ai",
    "vertex-ai-port",
    "vertex-ai-thread-count",
    "vertex-ai-default-model",
    "allow-metrics",
    "allow-gpu-metrics",
    "allow-cpu-metrics",
    "metrics-address",
    "metrics-port",
    "metrics-interval-ms",
    "metrics-config",
    "trace-config",
    "backend-directory",
    "backend-config",
    "repoagent-directory",
    "cache-config",
    "cache-directory",
    "rate-limit",
    "rate-limit-resource",
    "pinned-memory-pool-byte-size",
    "cuda-memory-pool-byte-size",
    "cuda-virtual-address-size",
    "min-supported-compute-capability",
    "buffer-manager-thread-count",
    "host-policy",
    "model-load-gpu-limit",
    "allow-client-shm",
    "strict-model-config",
    "response-cache-byte-size",
    "trace-file",
    "trace-level",
    "trace-rate",
    "trace-count",
    "trace-log-frequency",
};

constexpr std::string_view kOurFlags[] = {
    "body-budget-bytes",  "http-server-timing",     "lame-duck-secs",
    "tls-reload-secs",    "http-use-ssl",           "http-use-ssl-mutual",
    "http-server-cert",   "http-server-key",        "http-root-cert",
    "metrics-use-ssl",    "metrics-use-ssl-mutual", "metrics-server-cert",
    "metrics-server-key", "metrics-root-cert",      "gpus",
    "grpc-load-report",
};

struct Parsed {
  ServeOptions options;
  Status status;
};

Parsed Parse(std::vector<std::string_view> words) {
  Parsed parsed;
  options::FlagSet flags = ServeFlags(parsed.options);
  parsed.status = flags.Parse(words).status();
  return parsed;
}

// With a repository, which every line needs.
Parsed ParseWith(std::vector<std::string_view> words) {
  words.push_back("--model-repository=/models");
  return Parse(std::move(words));
}

TEST(ServeFlagsTest, EveryFlagOfTheAnchorIsHonouredOrRefusedByName) {
  ASSERT_EQ(std::size(kTritonFlags), 90u);  // And --help.
  ServeOptions options;
  const options::FlagSet flags = ServeFlags(options);
  std::set<std::string_view> known;
  for (const auto& flag : flags.Flags()) known.insert(flag.name);
  for (const std::string_view name : kTritonFlags) EXPECT_TRUE(known.contains(name)) << name;
  for (const std::string_view name : kOurFlags) EXPECT_EQ(known.erase(name), 1u) << name;
  EXPECT_EQ(known.size(), 90u);
}

TEST(ServeFlagsTest, RefusalsNameTheFlagAndTheReason) {
  EXPECT_EQ(ParseWith({"--allow-sagemaker"}).status.message(),
            "flag --allow-sagemaker is refused: SageMaker's endpoints are not served");
  ServeOptions options;
  const options::FlagSet flags = ServeFlags(options);
  size_t refused = 0;
  for (const auto& flag : flags.Flags()) {
    if (!flag.refused) continue;
    ++refused;
    const std::string word = "--" + std::string(flag.name) + "=tulip";
    EXPECT_TRUE(ParseWith({word}).status.message().starts_with("flag --" + std::string(flag.name) +
                                                               " is refused: "))
        << word;
  }
  EXPECT_GT(refused, 20u);
}

TEST(ServeFlagsTest, TlsNeedsItsFiles) {
  EXPECT_EQ(ParseWith({"--grpc-use-ssl"}).status.message(),
            "flag --grpc-use-ssl needs --grpc-server-cert");
  EXPECT_EQ(ParseWith({"--http-use-ssl", "--http-server-cert=c"}).status.message(),
            "flag --http-use-ssl needs --http-server-key");
  EXPECT_EQ(ParseWith({"--metrics-use-ssl-mutual=true", "--metrics-server-cert=c",
                       "--metrics-server-key=k"})
                .status.message(),
            "flag --metrics-use-ssl-mutual needs --metrics-root-cert");
  const Parsed parsed = ParseWith({"--grpc-use-ssl-mutual", "--grpc-server-cert=c",
                                   "--grpc-server-key=k", "--grpc-root-cert=r"});
  ASSERT_TRUE(parsed.status.ok()) << parsed.status.message();
  EXPECT_TRUE(parsed.options.grpc_tls.on());
  EXPECT_TRUE(parsed.options.grpc_tls.mutual);
  EXPECT_EQ(parsed.options.grpc_tls.root_cert, "r");
  EXPECT_FALSE(parsed.options.http_tls.on());
  EXPECT_TRUE(ParseWith({"--grpc-server-cert=c"}).status.ok());  // Triton ignores it, too.
}

TEST(ServeFlagsTest, GrpcConnections) {
  const http::Limits initial = ParseWith({}).options.grpc_limits;
  EXPECT_EQ(initial.keepalive_time, 7200000ms);
  EXPECT_EQ(initial.keepalive_timeout, 20000ms);
  EXPECT_EQ(initial.ping_interval_min, 300000ms);
  EXPECT_EQ(initial.ping_strikes_max, 2u);
  EXPECT_FALSE(initial.keepalive_without_streams);
  EXPECT_EQ(initial.connection_age_max, 0ms);
  const Parsed parsed = ParseWith(
      {"--grpc-keepalive-time=1000", "--grpc-keepalive-timeout=200",
       "--grpc-keepalive-permit-without-calls=1", "--grpc-http2-max-pings-without-data=0",
       "--grpc-http2-min-recv-ping-interval-without-data=50", "--grpc-http2-max-ping-strikes=0",
       "--grpc-max-connection-age=3000", "--grpc-max-connection-age-grace=400"});
  ASSERT_TRUE(parsed.status.ok()) << parsed.status.message();
  const http::Limits& limits = parsed.options.grpc_limits;
  EXPECT_EQ(limits.keepalive_time, 1000ms);
  EXPECT_EQ(limits.keepalive_timeout, 200ms);
  EXPECT_TRUE(limits.keepalive_without_streams);
  EXPECT_EQ(limits.ping_interval_min, 50ms);
  EXPECT_EQ(limits.ping_strikes_max, 0u);
  EXPECT_EQ(limits.connection_age_max, 3000ms);
  EXPECT_EQ(limits.connection_age_grace, 400ms);
  EXPECT_FALSE(ParseWith({"--grpc-keepalive-time=0"}).status.ok());
}

TEST(ServeFlagsTest, MetricsOfLatencies) {
  const Parsed initial = ParseWith({"--metrics-config=counter_latencies=true"});
  ASSERT_TRUE(initial.status.ok()) << initial.status.message();
  EXPECT_TRUE(initial.options.latency_metrics.counters);
  EXPECT_FALSE(initial.options.latency_metrics.summaries);
  EXPECT_FALSE(initial.options.core.keeps_latencies);
  EXPECT_TRUE(initial.options.allow_cpu_metrics);
  const Parsed parsed =
      ParseWith({"--metrics-config", "summary_latencies=true",
                 "--metrics-config=summary_quantiles=0.5:0.05,0.99", "--metrics-config",
                 "counter_latencies=false", "--metrics-config=histogram_latencies=true",
                 "--allow-cpu-metrics=false"});
  ASSERT_TRUE(parsed.status.ok()) << parsed.status.message();
  EXPECT_FALSE(parsed.options.latency_metrics.counters);
  EXPECT_TRUE(parsed.options.core.keeps_latencies);
  EXPECT_EQ(parsed.options.latency_metrics.quantiles, (std::vector<double>{0.5, 0.99}));
  EXPECT_FALSE(parsed.options.allow_cpu_metrics);
  for (const char* bad :
       {"summary_latencies", "summary_latencies=maybe", "latencies=true", "=true", "",
        "summary_quantiles=", "summary_quantiles=1.5:0.1", "summary_quantiles=0.5:2",
        "summary_quantiles=0.5:", "nan=1", "summary_quantiles=nan:0.1"}) {
    const Status status = ParseWith({"--metrics-config", bad}).status;
    EXPECT_TRUE(status.message().starts_with("flag --metrics-config: got '" + std::string(bad) +
                                             "', expected "))
        << bad << ": " << status.message();
  }
}

TEST(ServeFlagsTest, GrpcCalls) {
  const Parsed parsed = ParseWith({"--grpc-infer-response-compression-level=HIGH",
                                   "--grpc-restricted-protocol=trace,logging:k=v",
                                   "--grpc-header-forward-pattern=^my-"});
  ASSERT_TRUE(parsed.status.ok()) << parsed.status.message();
  EXPECT_EQ(parsed.options.grpc_compression, http::Effort::kHigh);
  EXPECT_EQ(parsed.options.grpc_restricted.Find(ApiGroup::kLogging)->value, "v");
  EXPECT_EQ(parsed.options.http_restricted.Find(ApiGroup::kLogging), nullptr);
  EXPECT_EQ(ParseWith({}).options.grpc_compression, std::nullopt);
  EXPECT_EQ(ParseWith({"--grpc-infer-response-compression-level=most"}).status.message(),
            "flag --grpc-infer-response-compression-level: got 'most', expected one of none, low, "
            "medium, high");
}

TEST(ServeFlagsTest, PatternsOfHeadersAreChecked) {
  EXPECT_EQ(ParseWith({"--http-header-forward-pattern=(x"}).status.message(),
            "flag --http-header-forward-pattern: got '(x', expected a regular expression (RE2)");
  EXPECT_TRUE(ParseWith({"--http-header-forward-pattern=(?i)^my-.*"}).status.ok());
}

TEST(ServeFlagsTest, SharedMemoryOfClientsIsOffUntilAllowed) {
  EXPECT_FALSE(ParseWith({}).options.allow_client_shm);
  EXPECT_TRUE(ParseWith({"--allow-client-shm"}).options.allow_client_shm);
}

TEST(ServeFlagsTest, RestrictsGroupsOfTheHttpApi) {
  const Parsed parsed =
      ParseWith({"--http-restricted-api=trace,logging:k=v", "--http-restricted-api", "health:h=w"});
  ASSERT_TRUE(parsed.status.ok()) << parsed.status.message();
  EXPECT_EQ(parsed.options.http_restricted.Find(ApiGroup::kLogging)->value, "v");
  EXPECT_EQ(parsed.options.http_restricted.Find(ApiGroup::kHealth)->header, "h");
  EXPECT_FALSE(ParseWith({"--http-restricted-api=nope:k=v"}).status.ok());
}

TEST(ServeFlagsTest, AcceptsDefaultsSpelledOut) {
  EXPECT_TRUE(ParseWith({"--allow-gpu-metrics=false", "--strict-model-config=false",
                         "--grpc-port=8001", "--allow-grpc=False", "--rate-limit=off",
                         "--pinned-memory-pool-byte-size=268435456", "--trace-level=OFF",
                         "--allow-client-shm=0", "--model-load-retry-count", "0"})
                  .status.ok());
}

TEST(ServeFlagsTest, FillsTheOptions) {
  const Parsed parsed = Parse({"--model-repository",
                               "/a",
                               "--model-store=/b",
                               "--model-control-mode=explicit",
                               "--load-model=x",
                               "--load-model=y",
                               "--http-port=0",
                               "--http-address=127.0.0.1",
                               "--http-thread-count=3",
                               "--http-max-input-size=1000",
                               "--metrics-port=9002",
                               "--metrics-address=::1",
                               "--exit-timeout-secs=5",
                               "--lame-duck-secs=0",
                               "--log-verbose=2",
                               "--log-info=false",
                               "--log-format=iso8601",
                               "--strict-readiness=0",
                               "--exit-on-error",
                               "false",
                               "--repository-poll-secs=1",
                               "--model-load-thread-count=2",
                               "--model-load-retry-count=3",
                               "--model-config-name=h100",
                               "--disable-auto-complete-config",
                               "--backend-directory=/backends",
                               "--backend-config=onnxruntime,a=b=c",
                               "--backend-config=,default-max-batch-size=8",
                               "--backend-config=k=v",
                               "--id=tulip"});
  ASSERT_TRUE(parsed.status.ok()) << parsed.status.message();
  const ServeOptions& options = parsed.options;
  EXPECT_EQ(options.core.repository_paths, (std::vector<std::string>{"/a", "/b"}));
  EXPECT_EQ(options.core.control_mode, ModelControlMode::kExplicit);
  EXPECT_EQ(options.core.startup_models, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(options.http_port, 0);
  EXPECT_EQ(options.http_address, "127.0.0.1");
  EXPECT_EQ(options.http_thread_count, 3);
  EXPECT_EQ(options.http_body_bytes_max, 1000u);
  EXPECT_EQ(options.metrics_port, 9002);
  EXPECT_EQ(options.metrics_address, "::1");
  EXPECT_EQ(options.exit_time_max, 5s);
  EXPECT_EQ(options.lame_duck, 0s);
  EXPECT_EQ(options.log.verbose_level, 2);
  EXPECT_FALSE(options.log.info);
  EXPECT_EQ(options.log.format, telemetry::LogFormat::kIso8601);
  EXPECT_FALSE(options.core.strict_readiness);
  EXPECT_FALSE(options.core.exit_on_error);
  EXPECT_EQ(options.core.poll_interval, 1s);
  EXPECT_EQ(options.core.load_threads, 2);
  EXPECT_EQ(options.core.load_retries, 3);
  EXPECT_EQ(options.core.model_config_name, "h100");
  EXPECT_FALSE(options.core.auto_complete_config);
  EXPECT_EQ(options.core.backend_directories, std::vector<std::string>{"/backends"});
  EXPECT_EQ(options.core.backend_config.at("onnxruntime").at("a"), "b=c");
  EXPECT_EQ(options.core.backend_config.at("").at("default-max-batch-size"), "8");
  EXPECT_EQ(options.core.backend_config.at("").at("k"), "v");
  EXPECT_EQ(options.server_id, "tulip");
}

TEST(ServeFlagsTest, DefaultsAreTritons) {
  const Parsed parsed = ParseWith({});
  ASSERT_TRUE(parsed.status.ok());
  EXPECT_EQ(parsed.options.http_port, 8000);
  EXPECT_EQ(parsed.options.metrics_port, 8002);
  EXPECT_EQ(parsed.options.exit_time_max, 30s);
  EXPECT_EQ(parsed.options.http_body_bytes_max, 64u << 20);
  EXPECT_TRUE(parsed.options.core.auto_complete_config);
  EXPECT_EQ(parsed.options.core.load_threads, 4);
  EXPECT_EQ(parsed.options.core.load_retries, 0);
  EXPECT_EQ(parsed.options.core.poll_interval, 15s);
  EXPECT_EQ(parsed.options.core.backend_directories.size(), 2u);
}

struct BadCase {
  std::vector<std::string_view> words;
  const char* message;
};

TEST(ServeFlagsTest, SaysWhatIsWrong) {
  const BadCase cases[] = {
      {{}, "--model-repository must be specified"},
      {{"--model-repository=s3://bucket"},
       "flag --model-repository: got 's3://bucket', but object stores are not read yet; expected a "
       "directory"},
      {{"--model-repository=/a", "--load-model=x"},
       "Use of '--load-model' requires setting '--model-control-mode=explicit' as well."},
      {{"--model-repository=/a", "--model-control-mode=explicit", "--load-model=x",
        "--load-model=*"},
       "Wildcard model name '*' must be the ONLY startup model if specified at all."},
      {{"--model-control-mode=sometimes"},
       "flag --model-control-mode: got 'sometimes', expected one of none, poll, explicit"},
      {{"--http-port=65536"},
       "flag --http-port: got '65536', expected a whole number from 0 to 65535"},
      {{"--http-thread-count=0"},
       "flag --http-thread-count: got '0', expected a whole number from 1 to 1024"},
      {{"--model-repository=/a", "--http-port=8002"},
       "--http-port and --metrics-port are both 8002, expected two different ports"},
      {{"--model-repository=/a", "--http-address=unix:/x", "--grpc-address=unix:/x"},
       "--http-address and --grpc-address are both unix:/x, expected two different sockets"},
      {{"--model-repository=/a", "--http-max-input-size=0"},
       "flag --http-max-input-size: got '0', expected at least 1"},
      {{"--model-repository=/a", "--model-config-name=../x"},
       "flag --model-config-name: got '../x', expected a name without spaces and slashes"},
      {{"--backend-config=onnxruntime"},
       "flag --backend-config: got 'onnxruntime', expected <backend>,<setting>=<value> or "
       "<setting>=<value>"},
      {{"--metrics-interval-ms=0"},
       "flag --metrics-interval-ms: got '0', expected a number above 0"},
      {{"--allow-gpu-metrics=maybe"},
       "flag --allow-gpu-metrics: got 'maybe', expected true or false"},
      {{"--model-repositry=/a"},
       "unknown flag --model-repositry; did you mean --model-repository? (--help lists them)"},
  };
  for (const BadCase& c : cases) EXPECT_EQ(Parse(c.words).status.message(), c.message);
}

}  // namespace
}  // namespace tepal::commands
