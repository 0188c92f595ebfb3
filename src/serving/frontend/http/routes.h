// The paths of the v2 protocol over HTTP and what each of them means. Pure.

#pragma once

#include <string>
#include <string_view>

#include "serving/frontend/restricted_apis.h"

namespace tepal {

struct Route {
  enum class Kind {
    kUnknown,
    kLive,
    kReady,
    kServerMetadata,
    kModelMetadata,
    kModelReady,
    kModelConfig,
    kModelStatistics,
    kAllStatistics,
    kInfer,
    kIndex,
    kLoad,
    kUnload,
    kGenerate,
    kGenerateStream,
    kTrace,  // Of the server or of a model.
    kLogging,
    kLoadReport,          // Of every model, for balancers: ours, not of the protocol.
    kSharedMemoryStatus,  // Of system or CUDA memory, as are the two below.
    kSharedMemoryRegister,
    kSharedMemoryUnregister,
  };
  Kind kind = Kind::kUnknown;
  std::string model;    // Percent-decoded.
  std::string version;  // Digits only; empty when the path names none.
  std::string region;   // As it stands in the path; empty when it names none.
  bool cuda = false;    // The region is of CUDA memory.
};

// `path` without the query.
Route ParseRoute(std::string_view path);

// The group the route belongs to; kUnknown has none, and is told as kMetadata.
ApiGroup RouteGroup(Route::Kind kind);

// The only method the route takes: "GET" or "POST"; empty where it takes several.
std::string_view RouteMethod(Route::Kind kind);

}  // namespace tepal
