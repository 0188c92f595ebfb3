#include "apps/commands/serve_flags.h"

#include <unistd.h>

#include <algorithm>
#include <climits>
#include <filesystem>

#include "apps/commands/flag_values.h"
#include "apps/commands/refused_flags.h"
#include "apps/commands/serve_door_flags.h"
#include "core/base/text.h"
#include "core/options/values.h"

namespace tepal::commands {
namespace {

using options::FlagSet;

constexpr char kEveryModel[] = "*";
constexpr int kRetriesMax = 1000;

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

Status CheckAll(ServeOptions& options) {
  RETURN_IF_ERROR(CheckRepositories(options.core));
  RETURN_IF_ERROR(CheckStartupModels(options.core));
  RETURN_IF_ERROR(CheckConfigName(options.core.model_config_name));
  RETURN_IF_ERROR(CheckDoors(options));
  options.core.keeps_latencies = options.latency_metrics.summaries;
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
  flags.Add("model-load-retry-count",
            Whole(core.load_retries, 0, kRetriesMax,
                  [&core](int64_t retries) { core.load_retries = static_cast<int>(retries); }),
            "How often a model that fails to load is tried again, at once.");
  flags.Add("enable-peer-access", Indifferent(true),
            "Accepted in either position: the server itself copies nothing between GPUs.");
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

// "0,1", "GPU-8932f937-…" or "MIG-…": CUDA_VISIBLE_DEVICES ends its list at a word it does not
// know.
bool IsGpu(std::string_view word) {
  if (word.starts_with("GPU-") || word.starts_with("MIG-")) return word.size() > 4;
  return ParseNumber<uint16_t>(word).has_value();
}

void AddGpuFlags(FlagSet& flags, ServeOptions& options) {
  flags.Group("GPUs");
  flags.Add("gpus",
            {.placeholder = "list",
             .default_text = "CUDA_VISIBLE_DEVICES",
             .boolean = false,
             .read = [&options](std::string_view text) -> Status {
               for (const std::string_view word : Split(text, ',')) {
                 if (IsGpu(word)) continue;
                 return Expected("indexes, or UUIDs as GPU-... and MIG-..., with commas between");
               }
               options.gpus = text;
               return {};
             }},
            "The GPUs and MIG slices to use, by index or UUID. Instance groups count them from 0.");
  flags.Add("pinned-memory-pool-byte-size",
            Whole(static_cast<int64_t>(options.pinned_pool_bytes), 0, INT64_MAX,
                  [&options](int64_t bytes) {
                    options.pinned_pool_bytes = static_cast<uint64_t>(bytes);
                  }),
            "Request bodies and results lie in at most so much pinned memory once a model is on a "
            "GPU, in ordinary memory beyond.");
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
  AddDoorFlags(flags, options);
  AddBackendFlags(flags, options);
  AddGpuFlags(flags, options);
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
