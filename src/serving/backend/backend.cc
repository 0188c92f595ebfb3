#include "serving/backend/backend.h"

#include <dlfcn.h>

#include <filesystem>
#include <utility>

#include "core/base/check.h"
#include "core/base/text.h"
#include "core/json/writer.h"
#include "core/telemetry/log.h"
#include "serving/backend/backend_files.h"
#include "serving/backend/host/backend_objects.h"
#include "serving/backend/host/exports.h"
#include "serving/backend/plugin_call.h"

namespace tepal {
namespace {

using backend_host::CallPlugin;

std::string SettingsJson(const BackendSettings& settings) {
  json::Writer writer;
  writer.BeginObject().Key("cmdline").BeginObject();
  for (const auto& [key, value] : settings) writer.Key(key).String(value);
  writer.EndObject().EndObject();
  return writer.Take();
}

template <typename FunctionPointer>
void Find(void* library, const char* symbol, FunctionPointer& function) {
  function = reinterpret_cast<FunctionPointer>(dlsym(library, symbol));
}

BackendEntryPoints FindEntryPoints(void* library) {
  BackendEntryPoints found;
  Find(library, "TRITONBACKEND_Initialize", found.initialize);
  Find(library, "TRITONBACKEND_Finalize", found.finalize);
  Find(library, "TRITONBACKEND_GetBackendAttribute", found.attribute);
  Find(library, "TRITONBACKEND_ModelInitialize", found.model_initialize);
  Find(library, "TRITONBACKEND_ModelFinalize", found.model_finalize);
  Find(library, "TRITONBACKEND_ModelInstanceInitialize", found.instance_initialize);
  Find(library, "TRITONBACKEND_ModelInstanceFinalize", found.instance_finalize);
  Find(library, "TRITONBACKEND_ModelInstanceExecute", found.execute);
  Find(library, "TEPAL_BackendTraits", found.traits);
  return found;
}

InstanceGroup::Kind KindOf(TRITONSERVER_InstanceGroupKind kind) {
  switch (kind) {
    case TRITONSERVER_INSTANCEGROUPKIND_AUTO:
      return InstanceGroup::Kind::kAuto;
    case TRITONSERVER_INSTANCEGROUPKIND_CPU:
      return InstanceGroup::Kind::kCpu;
    case TRITONSERVER_INSTANCEGROUPKIND_GPU:
      return InstanceGroup::Kind::kGpu;
    case TRITONSERVER_INSTANCEGROUPKIND_MODEL:
      return InstanceGroup::Kind::kModel;
  }
  return InstanceGroup::Kind::kAuto;
}

// What the system says names the library or the function that is missing, mostly without the file
// that asked for it.
Result<void*> Open(const std::string& name, const std::string& path) {
  if (void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
  const char* const said = dlerror();
  const std::string reason = said == nullptr ? "no reason given" : said;
  std::string hint;
  if (reason.find("undefined symbol: TRITON") != std::string::npos) {
    hint = Concat(" (this server offers version ", TRITONBACKEND_API_VERSION_MAJOR, ".",
                  TRITONBACKEND_API_VERSION_MINOR, " of the backend interface)");
  }
  return InvalidArgument(
      Concat("unable to load shared library of backend '", name, "', ", path, ": ", reason, hint));
}

bool IsFile(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(path, ignored);
}

}  // namespace

BackendLibrary::BackendLibrary() : handle_(std::make_unique<TRITONBACKEND_Backend>()) {}

BackendLibrary::~BackendLibrary() {
  if (!initialised_ || entry_points_.finalize == nullptr) return;
  const Status finalized = CallPlugin(name(), "TRITONBACKEND_Finalize",
                                      [&] { return entry_points_.finalize(handle_.get()); });
  if (!finalized.ok()) {
    telemetry::LogError(Concat("backend '", name(), "': ", finalized.message()));
  }
}

const std::string& BackendLibrary::name() const { return handle_->name; }

bool BackendLibrary::device_blocking() const {
  return handle_->policy == TRITONBACKEND_EXECUTION_DEVICE_BLOCKING;
}

bool BackendLibrary::parallel_instance_loading() const { return parallel_instance_loading_; }

Result<std::shared_ptr<BackendLibrary>> BackendLibrary::Load(const std::string& name,
                                                             const std::string& path,
                                                             const BackendSettings& settings) {
  TEPAL_CHECK(backend_host::ExportedFunctions() > 0);
  // Before anything of the plugin runs: should it end the process, this is the last line.
  telemetry::LogInfo(Concat("loading backend '", name, "' from ", path));
  ASSIGN_OR_RETURN(void* const library, Open(name, path));
  std::shared_ptr<BackendLibrary> backend(new BackendLibrary());
  backend->path_ = path;
  backend->handle_->name = name;
  backend->handle_->directory = std::filesystem::path(path).parent_path().string();
  backend->entry_points_ = FindEntryPoints(library);
  if (backend->entry_points_.execute == nullptr) {
    return InvalidArgument(Concat("backend '", name, "': ", path,
                                  " lacks the required function "
                                  "TRITONBACKEND_ModelInstanceExecute"));
  }
  Status initialised = backend->Initialise(settings);
  if (initialised.ok()) initialised = backend->AskAttributes();
  if (!initialised.ok()) {
    return std::move(initialised)
        .WithContext(Concat("initialising backend '", name, "' from ", path));
  }
  return backend;
}

Status BackendLibrary::Initialise(const BackendSettings& settings) {
  handle_->config.json = SettingsJson(settings);
  if (entry_points_.initialize != nullptr) {
    handle_->initialising = true;
    const Status status = CallPlugin(name(), "TRITONBACKEND_Initialize",
                                     [&] { return entry_points_.initialize(handle_.get()); });
    handle_->initialising = false;
    RETURN_IF_ERROR(status);
  }
  initialised_ = true;
  return {};
}

Status BackendLibrary::AskAttributes() {
  if (entry_points_.attribute == nullptr) return {};
  TRITONBACKEND_BackendAttribute attribute;
  RETURN_IF_ERROR(CallPlugin(name(), "TRITONBACKEND_GetBackendAttribute",
                             [&] { return entry_points_.attribute(handle_.get(), &attribute); }));
  parallel_instance_loading_ = attribute.parallel_instance_loading;
  for (const TRITONBACKEND_BackendAttribute::Group& wish : attribute.preferred_groups) {
    InstanceGroup& group = preferred_groups_.emplace_back();
    group.kind = KindOf(wish.kind);
    if (wish.count > 0) group.count = static_cast<int32_t>(wish.count);
    for (const uint64_t device : wish.device_ids) {
      group.gpus.push_back(static_cast<int32_t>(device));
    }
  }
  return {};
}

BackendManager::BackendManager(Options options) : options_(std::move(options)) {
  // Plugins that were linked with Triton's library find this empty one by its name.
  for (const std::string& directory : options_.directories) {
    const std::string stub = Concat(directory, "/../libtritonserver.so");
    if (IsFile(stub) && dlopen(stub.c_str(), RTLD_NOW | RTLD_LOCAL) == nullptr) {
      telemetry::LogWarning(Concat("cannot open ", stub, ": ", dlerror()));
    }
  }
}

BackendSettings BackendManager::SettingsFor(const std::string& name) const {
  BackendSettings settings = {
      {"auto-complete-config", options_.auto_complete_config ? "true" : "false"},
      {"backend-directory", options_.directories.empty() ? "" : options_.directories.front()},
      {"default-max-batch-size", "4"},
      {"min-compute-capability", "6.000000"},
  };
  for (const std::string& scope : {std::string(), name}) {
    const auto found = options_.settings.find(scope);
    if (found == options_.settings.end()) continue;
    for (const auto& [key, value] : found->second) settings[key] = value;
  }
  return settings;
}

Result<std::shared_ptr<BackendLibrary>> BackendManager::Get(
    const std::string& name, const std::vector<std::string>& model_directories,
    const std::string& runtime) {
  const BackendSettings settings = SettingsFor(name);
  const auto version = settings.find("version");
  ASSIGN_OR_RETURN(const std::vector<std::string> files,
                   BackendFiles({name, runtime, version == settings.end() ? "" : version->second,
                                 model_directories, options_.directories}));
  std::string tried;
  for (const std::string& path : files) {
    std::error_code missing;
    const std::string file = std::filesystem::canonical(path, missing).string();
    if (missing || !IsFile(file)) {
      tried += Concat(tried.empty() ? "" : ", ", path);
      continue;
    }
    auto libraries = libraries_.Lock();
    std::shared_ptr<BackendLibrary>& library = (*libraries)[{name, file}];
    if (library == nullptr) {
      ASSIGN_OR_RETURN(library, BackendLibrary::Load(name, path, settings));
    }
    return library;
  }
  return NotFound(Concat("unable to find ",
                         runtime.empty() ? Concat("libtriton_", name, ".so") : runtime,
                         " for backend '", name, "', tried ", tried));
}

}  // namespace tepal
