#include "serving/server_core/server_core.h"

#include <utility>

#include "serving/lifecycle/backend_loader.h"
#include "serving/repository/local_repository.h"
#include "serving/server_core/core_impl.h"

namespace tepal {

Result<std::unique_ptr<ServerCore>> NewServerCore(const ServerCoreOptions& options,
                                                  const ServerCoreWorld& world) {
  LocalRepositoryOptions local;
  local.paths = options.repository_paths;
  local.config_name = options.model_config_name;
  local.config_required = !options.auto_complete_config;
  local.staging_directory = options.staging_directory;

  BackendManager::Options backends;
  backends.directories = options.backend_directories;
  backends.settings = options.backend_config;
  backends.auto_complete_config = options.auto_complete_config;

  return NewServerCoreOver(
      options, NewLocalRepository(std::move(local), world.files),
      NewBackendLoader(std::move(backends), world.clock, world.gpus, world.results), world);
}

}  // namespace tepal
