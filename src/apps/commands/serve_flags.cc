#include "apps/commands/serve_flags.h"

#include <unistd.h>

#include <algorithm>
#include <climits>
#include <filesystem>

#include "apps/commands/refused_flags.h"
#include "core/base/text.h"
#include "core/options/values.h"

namespace tepal::commands {
namespace {

using options::FlagSet;

constexpr int kSecondsMax = 365 * 24 * 3600;
constexpr int kThreadsMax = 1024;
constexpr char kEveryModel[] = "*";

Status Expected(std::string_view what) { return InvalidArgument(Concat("expected ", what)); }

// A whole number in a range, handed to `set`.
FlagSet::Custom Whole(int64_t initial, int64_t min, int64_t max, Function<void(int64_t)> set) {
  return {.placeholder = "number",
          .default_text = Concat(initial),
          .boolean = false,
          .read = [min, max, set = std::move(set)](std::string_view text) mutable -> Status {
            const auto number = ParseNumber<int64_t>(text);
            if (!number || *number < min || *number > max) {
              return Expected(Concat("a whole number from ", min, " to ", max));
            }
            set(*number);
            return {};
          }};
}

FlagSet::Custom Seconds(Duration* value) {
  return Whole(static_cast<int64_t>(ToSeconds(*value)), 0, kSecondsMax,
               [value](int64_t seconds) { *value = std::chrono::seconds(seconds); });
}

FlagSet::Custom Threads(int* value) {
  return Whole(*value, 1, kThreadsMax,
               [value](int64_t count) { *value = static_cast<int>(count); });
}

// One of a few words; `values` in the order of `words`.
template <typename Value>
FlagSet::Custom OneOf(std::vector<std::pair<std::string_view, Value>> words, Value* value) {
  std::string expected;
  std::string initial;
  for (const auto& [word, meaning] : words) {
    expected += Concat(expected.empty() ? "" : ", ", word);
    if (meaning == *value) initial = word;
  }
  return {.placeholder = "word",
          .default_text = initial,
          .boolean = false,
          .read = [=](std::string_view text) -> Status {
            for (const auto& [word, meaning] : words) {
              if (!EqualsIgnoreCase(word, text)) continue;
              *value = meaning;
              return {};
            }
            return Expected(Concat("one of ", expected));
          }};
}

// Checked, then forgotten: the setting has no effect here in either position.
FlagSet::Custom Indifferent(bool initial) {
  return {.placeholder = "boolean",
          .default_text = initial ? "true" : "false",
          .boolean = true,
          .read = [](std::string_view text) -> Status {
            return options::ParseBool(text) ? Status() : Expected(options::kBoolExpected);
          }};
}

// "onnxruntime,intra_op_thread_count=1", or ",key=value" and "key=value" for every backend.
Status ReadBackendConfig(std::string_view text, ServerCoreOptions& core) {
  constexpr std::string_view kExpected = "<backend>,<setting>=<value> or <setting>=<value>";
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos) return Expected(kExpected);
  const size_t comma = text.substr(0, equals).find(',');
  const bool global = comma == std::string_view::npos;
  const std::string backend(global ? std::string_view() : text.substr(0, comma));
  const std::string setting(text.substr(global ? 0 : comma + 1, equals - (global ? 0 : comma + 1)));
  if (setting.empty()) return Expected(kExpected);
  core.backend_config[backend][setting] = text.substr(equals + 1);
  return {};
}

// Next to this program as built or installed, then where a Triton image has its own.
std::vector<std::string> DefaultBackendDirectories() {
  std::vector<std::string> directories;
  char program[PATH_MAX];
  const ssize_t size = readlink("/proc/self/exe", program, sizeof(program));
  if (size > 0) {
    const std::filesystem::path path(std::string_view(program, static_cast<size_t>(size)));
    directories.push_back((path.parent_path().parent_path() / "lib/tepal/backends").string());
  }
  directories.emplace_back("/opt/tritonserver/backends");
  return directories;
}

Status CheckRepositories(const ServerCoreOptions& core) {
  if (core.repository_paths.empty()) {
    return InvalidArgument("--model-repository must be specified");
  }
  for (const std::string& path : core.repository_paths) {
    if (path.empty()) return InvalidArgument("flag --model-repository: got '', expected a path");
    for (const std::string_view scheme : {"s3://", "gs://", "as://"}) {
      if (!path.starts_with(scheme)) continue;
      return InvalidArgument(Concat("flag --model-repository: got '", path,
                                    "', but object stores are not read yet; expected a directory"));
    }
  }
  return {};
}

Status CheckStartupModels(const ServerCoreOptions& core) {
  const auto& models = core.startup_models;
  if (models.empty()) return {};
  if (core.control_mode != ModelControlMode::kExplicit) {
    return InvalidArgument(
        "Use of '--load-model' requires setting '--model-control-mode=explicit' as well.");
  }
  const bool everything = std::find(models.begin(), models.end(), kEveryModel) != models.end();
  if (everything && models.size() > 1) {
    return InvalidArgument(
        "Wildcard model name '*' must be the ONLY startup model if specified at all.");
  }
  return {};
}

Status CheckConfigName(const std::string& name) {
  if (name.find_first_of(" \t/") == std::string::npos) return {};
  return InvalidArgument(Concat("flag --model-config-name: got '", name,
                                "', expected a name without spaces and slashes"));
}

// Doors on one address need ports of their own.
Status CheckPorts(const ServeOptions& options) {
  struct Door {
    bool open;
    std::string_view flag, address;
    uint16_t port;
  };
  const std::string& metrics =
      options.metrics_address.empty() ? options.http_address : options.metrics_address;
  const Door doors[] = {
      {options.allow_http, "--http-port", options.http_address, options.http_port},
      {options.allow_grpc, "--grpc-port", options.grpc_address, options.grpc_port},
      {options.allow_metrics, "--metrics-port", metrics, options.metrics_port}};
  for (const Door& one : doors) {
    for (const Door& other : doors) {
      const bool clash = &one < &other && one.open && other.open && one.port != 0 &&
                         one.port == other.port && one.address == other.address;
      if (!clash) continue;
      return InvalidArgument(Concat(one.flag, " and ", other.flag, " are both ", one.port,
                                    ", expected two different ports"));
    }
  }
  return {};
}

Status CheckAll(ServeOptions& options) {
  RETURN_IF_ERROR(CheckRepositories(options.core));
  RETURN_IF_ERROR(CheckStartupModels(options.core));
  RETURN_IF_ERROR(CheckConfigName(options.core.model_config_name));
  RETURN_IF_ERROR(CheckPorts(options));
  if (options.http_body_bytes_max == 0) {
    return InvalidArgument("flag --http-max-input-size: got '0', expected at least 1");
  }
  if (options.core.backend_directories.empty()) {
    options.core.backend_directories = DefaultBackendDirectories();
  }
  return {};
}

void AddServerFlags(FlagSet& flags, ServeOptions& options) {
  flags.Group("Server");
  flags.Add("id", &options.server_id, "The server's name in its metadata.");
  flags.Add("allow-client-shm", &options.allow_client_shm,
            "Let clients register regions of shared memory. Only for clients that are trusted: one "
            "that shortens its region ends the server.");
  flags.Add("exit-timeout-secs", Seconds(&options.exit_time_max),
            "After a signal, how long requests in flight may take to finish.");
  flags.Add(
      "lame-duck-secs", Seconds(&options.lame_duck),
      "After a signal, how long to be not ready yet still serving, so that balancers notice.");
}

void AddLogFlags(FlagSet& flags, ServeOptions& options) {
  using telemetry::LogFormat;
  flags.Group("Logging");
  flags.Add("log-verbose",
            Whole(0, 0, INT_MAX,
                  [&](int64_t level) { options.log.verbose_level = static_cast<int>(level); }),
            "0: no verbose lines; the higher, the more.");
  flags.Add("log-info", &options.log.info, "Log what happens.");
  flags.Add("log-warning", &options.log.warning, "Log what looks wrong.");
  flags.Add("log-error", &options.log.error, "Log what failed.");
  flags.Add("log-format",
            OneOf<LogFormat>({{"default", LogFormat::kDefault},
                              {"ISO8601", LogFormat::kIso8601},
                              {"json", LogFormat::kJson}},
                             &options.log.format),
            "default, ISO8601, or json: one object a line.");
  flags.Add("log-file", &options.log.file, "Write the log there; without it, to stderr.");
}

void AddRepositoryFlags(FlagSet& flags, ServeOptions& options) {
  ServerCoreOptions& core = options.core;
  flags.Group("Model repository");
  flags.Add("model-repository", &core.repository_paths,
            "A directory of models. A model that is in two of them is not served.");
  flags.Add("model-store", &core.repository_paths, "The same as --model-repository.");
  flags.Add("exit-on-error", &core.exit_on_error,
            "End when a model cannot be loaded at start; else serve the others.");
  flags.Add("disable-auto-complete-config",
            {.placeholder = "boolean",
             .default_text = "false",
             .boolean = true,
             .read = [&core](std::string_view text) -> Status {
               const auto disabled = options::ParseBool(text);
               if (!disabled) return Expected(options::kBoolExpected);
               core.auto_complete_config = !*disabled;
               return {};
             }},
            "Every model must have a complete config.pbtxt.");
  flags.Add("strict-model-config",
            {.placeholder = "boolean",
             .default_text = "false",
             .boolean = true,
             .read = [&core](std::string_view text) -> Status {
               const auto strict = options::ParseBool(text);
               if (!strict) return Expected(options::kBoolExpected);
               core.auto_complete_config = !*strict;
               return {};
             }},
            "The older name of --disable-auto-complete-config.");
  flags.Add("strict-readiness", &core.strict_readiness,
            "Ready only when every model is; else as soon as the server answers.");
  flags.Add("model-control-mode",
            OneOf<ModelControlMode>({{"none", ModelControlMode::kNone},
                                     {"poll", ModelControlMode::kPoll},
                                     {"explicit", ModelControlMode::kExplicit}},
                                    &core.control_mode),
            "none: all models at start; poll: follow the repository; explicit: load and unload by "
            "request.");
  flags.Add("repository-poll-secs", Seconds(&core.poll_interval), "With poll: how often to look.");
  flags.Add("load-model", &core.startup_models,
            "With explicit: a model to load at start, or * alone for all.");
  flags.Add("model-config-name", &core.model_config_name,
            "Read configs/<name>.pbtxt instead of config.pbtxt where a model has it.");
  flags.Add("model-load-thread-count", Threads(&core.load_threads), "Models loaded at a time.");
  flags.Add("enable-peer-access", Indifferent(true),
            "Accepted in either position: the server itself copies nothing between GPUs.");
}

void AddHttpFlags(FlagSet& flags, ServeOptions& options) {
  flags.Group("HTTP");
  flags.Add("allow-http", &options.allow_http, "Serve the v2 protocol over HTTP.");
  flags.Add("http-address", &options.http_address, "Address to listen on.");
  flags.Add("http-port", &options.http_port, "Port; 0 picks a free one.");
  flags.Add("reuse-http-port", &options.reuse_http_port,
            "Let other servers with this flag listen on the same port (SO_REUSEPORT).");
  FlagSet::Custom threads = Threads(&options.http_thread_count);
  threads.default_text = "one a core, at most 8";
  flags.Add("http-thread-count", std::move(threads), "Event loops that serve connections.");
  flags.Add("http-restricted-api",
            {.placeholder = "apis:header=value",
             .default_text = "",
             .boolean = false,
             .read = [&options](std::string_view text) -> Status {
               return text.empty() ? Status() : options.http_restricted.Add(text);
             }},
            "Answer these groups of routes (as trace,logging) only to who sends the header with "
            "the value. May be repeated.");
  flags.Add("http-max-input-size", &options.http_body_bytes_max,
            "Largest request body in bytes, also after decompression.");
}

void AddGrpcFlags(FlagSet& flags, ServeOptions& options) {
  flags.Group("gRPC");
  flags.Add("allow-grpc", &options.allow_grpc, "Serve the v2 protocol over gRPC (unary calls).");
  flags.Add("grpc-address", &options.grpc_address, "Address to listen on.");
  flags.Add("grpc-port", &options.grpc_port, "Port; 0 picks a free one.");
  flags.Add("reuse-grpc-port", &options.reuse_grpc_port,
            "Let other servers with this flag listen on the same port (SO_REUSEPORT).");
}

void AddMetricsFlags(FlagSet& flags, ServeOptions& options) {
  flags.Group("Metrics");
  flags.Add("allow-metrics", &options.allow_metrics, "Serve Prometheus metrics on /metrics.");
  flags.Add("metrics-address", &options.metrics_address,
            "Address to listen on; without it, that of --http-address.");
  flags.Add("metrics-port", &options.metrics_port, "Port; 0 picks a free one.");
  flags.Add("allow-gpu-metrics", Indifferent(true),
            "Accepted in either position: no GPU metrics are reported yet.");
  flags.Add("allow-cpu-metrics", Indifferent(true),
            "Accepted in either position: no metrics of the host's CPUs are reported yet.");
  flags.Add("metrics-interval-ms",
            {.placeholder = "number",
             .default_text = "2000",
             .boolean = false,
             .read = [](std::string_view text) -> Status {
               const auto interval = ParseNumber<double>(text);
               return interval && *interval > 0 ? Status() : Expected("a number above 0");
             }},
            "Accepted: every metric is read when it is asked for, so nothing is sampled.");
}

void AddBackendFlags(FlagSet& flags, ServeOptions& options) {
  ServerCoreOptions& core = options.core;
  flags.Group("Backends");
  flags.Add("backend-directory",
            {.placeholder = "path",
             .default_text = "lib/tepal/backends beside the program",
             .boolean = false,
             .read = [&core](std::string_view text) -> Status {
               if (text.empty()) return Expected("a path");
               core.backend_directories = {std::string(text)};
               return {};
             }},
            "Where backends are: <path>/<name>/libtriton_<name>.so.");
  flags.Add("backend-config",
            {.placeholder = "backend,setting=value",
             .default_text = "",
             .boolean = false,
             .read = [&core](std::string_view text) { return ReadBackendConfig(text, core); }},
            "A setting for one backend, or for all without its name, as default-max-batch-size=4. "
            "May be repeated.");
}

}  // namespace

options::FlagSet ServeFlags(ServeOptions& options) {
  FlagSet flags(
      "tepal serve --model-repository PATH [FLAGS]",
      "Serves the models of a repository over the v2 protocol. Takes tritonserver's flags: "
      "those listed are honoured, any other is refused by name with the reason.");
  AddServerFlags(flags, options);
  AddLogFlags(flags, options);
  AddRepositoryFlags(flags, options);
  AddHttpFlags(flags, options);
  AddGrpcFlags(flags, options);
  AddMetricsFlags(flags, options);
  AddBackendFlags(flags, options);
  AddRefusedFlags(flags);
  flags.Check([&options](const FlagSet&) { return CheckAll(options); });
  flags.Example("tepal serve --model-repository examples/flower/models",
                "Serves the flower models on port 8000, metrics on 8002.");
  flags.Example(
      "tepal serve --model-repository models --model-control-mode explicit --load-model a",
      "Loads one model; others are loaded and unloaded by request.");
  return flags;
}

}  // namespace tepal::commands
