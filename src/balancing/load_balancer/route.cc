#include "balancing/load_balancer/route.h"

#include <array>

namespace tepal::lb {

namespace {

// The next part of a path, taken off its front; "" at the end.
std::string_view TakePart(std::string_view& path) {
  if (path.empty() || path[0] != '/') return {};
  path.remove_prefix(1);
  const size_t end = path.find('/');
  const std::string_view part = path.substr(0, end);
  path = end == std::string_view::npos ? std::string_view() : path.substr(end);
  return part;
}

RouteKind ClassifyModelPost(std::string_view rest) {
  if (TakePart(rest).empty()) return RouteKind::kOther;  // The model's name.
  std::string_view verb = TakePart(rest);
  if (verb == "versions") {
    if (TakePart(rest).empty()) return RouteKind::kOther;
    verb = TakePart(rest);
  }
  if (verb == "trace") return RouteKind::kChangesOneReplica;
  if (!rest.empty()) return RouteKind::kOther;
  if (verb == "infer" || verb == "generate") return RouteKind::kInfer;
  if (verb == "generate_stream") return RouteKind::kStream;
  return RouteKind::kOther;
}

RouteKind ClassifyPost(std::string_view path) {
  if (path == "/v2/repository/index") return RouteKind::kRead;
  if (TakePart(path) != "v2") return RouteKind::kOther;
  const std::string_view area = TakePart(path);
  if (area == "models") return ClassifyModelPost(path);
  constexpr std::array<std::string_view, 5> kSettings = {"repository", "systemsharedmemory",
                                                         "cudasharedmemory", "logging", "trace"};
  for (const std::string_view setting : kSettings) {
    if (area == setting) {
      // Every repository has its own index: POST /v2/repository/{name}/index only reads.
      return path.ends_with("/index") ? RouteKind::kRead : RouteKind::kChangesOneReplica;
    }
  }
  return RouteKind::kOther;
}

}  // namespace

RouteKind ClassifyRoute(std::string_view method, std::string_view path) {
  if (method == "POST") return ClassifyPost(path);
  if (method == "GET" || method == "HEAD") {
    if (path == "/v2/health/live" || path == "/v2/health/ready") return RouteKind::kHealth;
    return RouteKind::kRead;
  }
  if (method == "OPTIONS") return RouteKind::kRead;
  return RouteKind::kOther;
}

RouteKind ClassifyGrpc(std::string_view path) {
  if (path == "/grpc.health.v1.Health/Check") return RouteKind::kHealth;
  if (TakePart(path) != "inference.GRPCInferenceService") return RouteKind::kCall;
  const std::string_view method = TakePart(path);
  struct Known {
    std::string_view method;
    RouteKind kind;
  };
  constexpr Known kMethods[] = {
      {"ModelInfer", RouteKind::kInfer},
      {"ServerReady", RouteKind::kHealth},
      {"ServerLive", RouteKind::kHealth},
      {"ModelReady", RouteKind::kRead},
      {"ServerMetadata", RouteKind::kRead},
      {"ModelMetadata", RouteKind::kRead},
      {"ModelConfig", RouteKind::kRead},
      {"ModelStatistics", RouteKind::kRead},
      {"RepositoryIndex", RouteKind::kRead},
      {"SystemSharedMemoryStatus", RouteKind::kRead},
      {"CudaSharedMemoryStatus", RouteKind::kRead},
      {"RepositoryModelLoad", RouteKind::kChangesOneReplica},
      {"RepositoryModelUnload", RouteKind::kChangesOneReplica},
      {"SystemSharedMemoryRegister", RouteKind::kChangesOneReplica},
      {"SystemSharedMemoryUnregister", RouteKind::kChangesOneReplica},
      {"CudaSharedMemoryRegister", RouteKind::kChangesOneReplica},
      {"CudaSharedMemoryUnregister", RouteKind::kChangesOneReplica},
      {"TraceSetting", RouteKind::kChangesOneReplica},
      {"LogSettings", RouteKind::kChangesOneReplica},
  };
  for (const Known& known : kMethods) {
    if (method == known.method) return known.kind;
  }
  return RouteKind::kCall;
}

bool Repeatable(RouteKind kind) {
  return kind != RouteKind::kChangesOneReplica && kind != RouteKind::kOther &&
         kind != RouteKind::kCall;
}

bool TellsLoad(RouteKind kind, std::string_view path) {
  constexpr std::string_view kStreamInfer = "/inference.GRPCInferenceService/ModelStreamInfer";
  return kind == RouteKind::kInfer || (kind == RouteKind::kCall && path == kStreamInfer);
}

bool SpeaksOfOneReplica(std::string_view path) {
  if (path.starts_with("/inference.GRPCInferenceService/")) {
    return path.ends_with("/ModelStatistics") || path.ends_with("/RepositoryIndex");
  }
  if (!path.starts_with("/v2/")) return false;
  return path.ends_with("/stats") || path.ends_with("/index");
}

}  // namespace tepal::lb
