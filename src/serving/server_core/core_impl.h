// The facade over a repository and a loader of any kind: NewServerCore gives it the local file
// system and backend plugins, tests give it fakes.

#pragma once

#include <memory>

#include "serving/lifecycle/version_loader.h"
#include "serving/repository/model_repository.h"
#include "serving/server_core/server_core.h"

namespace tepal {

Result<std::unique_ptr<ServerCore>> NewServerCoreOver(const ServerCoreOptions& options,
                                                      std::unique_ptr<ModelRepository> repository,
                                                      std::unique_ptr<VersionLoader> loader,
                                                      const ServerCoreWorld& world);

}  // namespace tepal
