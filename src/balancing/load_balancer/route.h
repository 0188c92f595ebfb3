// What kind of request a method and path make, as far as the balancer cares: whether it may be
// repeated, may wait in line, or must not be sent to one replica of many at all (docs/retries.md).
//
// Routes and gRPC methods: KServe v2 with Triton's extensions, gRPC's health and reflection.

#pragma once

#include <string_view>

namespace tepal::lb {

enum class RouteKind {
  kInfer,              // POST …/infer, …/generate.
  kStream,             // POST …/generate_stream.
  kRead,               // Any GET, HEAD, OPTIONS; POST /v2/repository/index.
  kHealth,             // GET /v2/health/live, /v2/health/ready.
  kChangesOneReplica,  // POST to load, unload, register, unregister, logging, trace settings.
  kOther,
  kCall,  // A gRPC call of any number of messages, or one that is not known: passed through as it
          // comes.
};

// `path` without the query.
RouteKind ClassifyRoute(std::string_view method, std::string_view path);

// `path` is "/package.Service/Method".
RouteKind ClassifyGrpc(std::string_view path);

// Sending it twice does what sending it once does.
bool Repeatable(RouteKind kind);

// A server that is asked says with the answer how loaded it is (serving/kserve_wire/model_load.h):
// inferences, and streams of them.
bool TellsLoad(RouteKind kind, std::string_view path);

// The answer speaks of one replica only (statistics, repository index), so it is marked with which.
bool SpeaksOfOneReplica(std::string_view path);

}  // namespace tepal::lb
