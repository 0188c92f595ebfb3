#include "serving/frontend/grpc/grpc_api_groups.h"

#include <utility>

namespace tepal {
namespace {

constexpr std::string_view kInferenceService = "/inference.GRPCInferenceService/";
constexpr std::string_view kHealthService = "/grpc.health.v1.Health/";

constexpr std::pair<std::string_view, ApiGroup> kMethods[] = {
    {"ServerLive", ApiGroup::kHealth},
    {"ServerReady", ApiGroup::kHealth},
    {"ModelReady", ApiGroup::kHealth},
    {"ServerMetadata", ApiGroup::kMetadata},
    {"ModelMetadata", ApiGroup::kMetadata},
    {"ModelInfer", ApiGroup::kInference},
    {"ModelStreamInfer", ApiGroup::kInference},
    {"ModelConfig", ApiGroup::kModelConfig},
    {"ModelStatistics", ApiGroup::kStatistics},
    {"RepositoryIndex", ApiGroup::kModelRepository},
    {"RepositoryModelLoad", ApiGroup::kModelRepository},
    {"RepositoryModelUnload", ApiGroup::kModelRepository},
    {"SystemSharedMemoryStatus", ApiGroup::kSharedMemory},
    {"SystemSharedMemoryRegister", ApiGroup::kSharedMemory},
    {"SystemSharedMemoryUnregister", ApiGroup::kSharedMemory},
    {"CudaSharedMemoryStatus", ApiGroup::kSharedMemory},
    {"CudaSharedMemoryRegister", ApiGroup::kSharedMemory},
    {"CudaSharedMemoryUnregister", ApiGroup::kSharedMemory},
    {"TraceSetting", ApiGroup::kTrace},
    {"LogSettings", ApiGroup::kLogging},
};

}  // namespace

std::optional<ApiGroup> GrpcApiGroup(std::string_view path) {
  if (path.starts_with(kHealthService)) return ApiGroup::kHealth;
  if (!path.starts_with(kInferenceService)) return std::nullopt;
  const std::string_view method = path.substr(kInferenceService.size());
  for (const auto& [name, group] : kMethods) {
    if (name == method) return group;
  }
  return std::nullopt;
}

}  // namespace tepal
