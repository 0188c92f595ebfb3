#include "serving/frontend/http/routes.h"

#include <algorithm>
#include <vector>

#include "core/base/text.h"

namespace tepal {
namespace {

using Parts = std::vector<std::string_view>;

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string PercentDecoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && HexValue(text[i + 1]) >= 0 &&
        HexValue(text[i + 2]) >= 0) {
      out.push_back(static_cast<char>(HexValue(text[i + 1]) * 16 + HexValue(text[i + 2])));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

bool AllDigits(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

Route::Kind ModelAction(std::string_view action) {
  if (action == "infer") return Route::Kind::kInfer;
  if (action == "ready") return Route::Kind::kModelReady;
  if (action == "config") return Route::Kind::kModelConfig;
  if (action == "stats") return Route::Kind::kModelStatistics;
  if (action == "generate") return Route::Kind::kGenerate;
  if (action == "generate_stream") return Route::Kind::kGenerateStream;
  return Route::Kind::kUnknown;
}

// /v2/models/<model>[/versions/<version>][/<action>], from <model> on.
Route ModelRoute(Parts parts) {
  if (parts.front().empty()) return {};
  Route route;
  route.model = PercentDecoded(parts.front());
  parts.erase(parts.begin());
  if (parts.size() >= 2 && parts[0] == "versions") {
    if (!AllDigits(parts[1])) return {};
    route.version = parts[1];
    parts.erase(parts.begin(), parts.begin() + 2);
  }
  if (parts.empty()) {
    route.kind = Route::Kind::kModelMetadata;
  } else if (parts.size() == 1) {
    route.kind = ModelAction(parts[0]);
  } else if (route.version.empty() && parts.size() == 2 && parts[0] == "trace" &&
             parts[1] == "setting") {
    route.kind = Route::Kind::kTrace;
  }
  return route;
}

// /v2/repository[/<repository>]/index or …/models/<model>/load, from what follows "repository".
Route RepositoryRoute(Parts parts) {
  Route route;
  const bool named = parts.size() == 2 || parts.size() == 4;
  if (named && !parts.front().empty()) parts.erase(parts.begin());
  if (parts.size() == 1 && parts[0] == "index") {
    route.kind = Route::Kind::kIndex;
  } else if (parts.size() == 3 && parts[0] == "models" && !parts[1].empty()) {
    route.model = PercentDecoded(parts[1]);
    if (parts[2] == "load") route.kind = Route::Kind::kLoad;
    if (parts[2] == "unload") route.kind = Route::Kind::kUnload;
  }
  return route;
}

// /v2/systemsharedmemory[/region/<region>]/<action>, from its second part on.
Route SharedMemoryRoute(const Parts& parts) {
  const bool one_region = parts.size() == 4 && parts[1] == "region" && !parts[2].empty();
  if (parts.size() != 2 && !one_region) return {};
  Route route;
  route.cuda = parts[0] == "cudasharedmemory";
  if (one_region) route.region = parts[2];
  if (parts.back() == "status") route.kind = Route::Kind::kSharedMemoryStatus;
  if (parts.back() == "register") route.kind = Route::Kind::kSharedMemoryRegister;
  if (parts.back() == "unregister") route.kind = Route::Kind::kSharedMemoryUnregister;
  return route;
}

}  // namespace

Route ParseRoute(std::string_view path) {
  Parts parts = Split(path, '/');
  if (parts.size() < 2 || !parts[0].empty() || parts[1] != "v2") return {};
  parts.erase(parts.begin(), parts.begin() + 2);
  Route route;
  if (parts.empty()) {
    route.kind = Route::Kind::kServerMetadata;
  } else if (parts.size() == 2 && parts[0] == "health") {
    if (parts[1] == "live") route.kind = Route::Kind::kLive;
    if (parts[1] == "ready") route.kind = Route::Kind::kReady;
  } else if (parts.size() == 2 && parts[0] == "models" && parts[1] == "stats") {
    route.kind = Route::Kind::kAllStatistics;
  } else if (parts.size() >= 2 && parts[0] == "models") {
    parts.erase(parts.begin());
    return ModelRoute(std::move(parts));
  } else if (parts.size() >= 2 && parts[0] == "repository") {
    parts.erase(parts.begin());
    return RepositoryRoute(std::move(parts));
  } else if (parts.size() == 2 && parts[0] == "trace" && parts[1] == "setting") {
    route.kind = Route::Kind::kTrace;
  } else if (parts.size() == 2 && parts[0] == "tepal" && parts[1] == "load") {
    route.kind = Route::Kind::kLoadReport;
  } else if (parts.size() == 1 && parts[0] == "logging") {
    route.kind = Route::Kind::kLogging;
  } else if (parts[0] == "systemsharedmemory" || parts[0] == "cudasharedmemory") {
    return SharedMemoryRoute(parts);
  }
  return route;
}

std::string_view RouteMethod(Route::Kind kind) {
  switch (kind) {
    case Route::Kind::kLive:
    case Route::Kind::kReady:
    case Route::Kind::kServerMetadata:
    case Route::Kind::kModelMetadata:
    case Route::Kind::kModelReady:
    case Route::Kind::kModelConfig:
    case Route::Kind::kModelStatistics:
    case Route::Kind::kAllStatistics:
    case Route::Kind::kSharedMemoryStatus:
    case Route::Kind::kLoadReport:
      return "GET";
    case Route::Kind::kInfer:
    case Route::Kind::kIndex:
    case Route::Kind::kLoad:
    case Route::Kind::kUnload:
    case Route::Kind::kGenerate:
    case Route::Kind::kGenerateStream:
    case Route::Kind::kSharedMemoryRegister:
    case Route::Kind::kSharedMemoryUnregister:
      return "POST";
    default:
      return {};
  }
}

ApiGroup RouteGroup(Route::Kind kind) {
  switch (kind) {
    case Route::Kind::kUnknown:
    case Route::Kind::kServerMetadata:
    case Route::Kind::kModelMetadata:
      return ApiGroup::kMetadata;
    case Route::Kind::kLive:
    case Route::Kind::kReady:
    case Route::Kind::kModelReady:
    case Route::Kind::kLoadReport:
      return ApiGroup::kHealth;
    case Route::Kind::kModelConfig:
      return ApiGroup::kModelConfig;
    case Route::Kind::kModelStatistics:
    case Route::Kind::kAllStatistics:
      return ApiGroup::kStatistics;
    case Route::Kind::kInfer:
    case Route::Kind::kGenerate:
    case Route::Kind::kGenerateStream:
      return ApiGroup::kInference;
    case Route::Kind::kIndex:
    case Route::Kind::kLoad:
    case Route::Kind::kUnload:
      return ApiGroup::kModelRepository;
    case Route::Kind::kTrace:
      return ApiGroup::kTrace;
    case Route::Kind::kLogging:
      return ApiGroup::kLogging;
    case Route::Kind::kSharedMemoryStatus:
    case Route::Kind::kSharedMemoryRegister:
    case Route::Kind::kSharedMemoryUnregister:
      return ApiGroup::kSharedMemory;
  }
  return ApiGroup::kMetadata;
}

}  // namespace tepal
