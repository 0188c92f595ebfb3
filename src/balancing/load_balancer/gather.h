// Requests that are about all replicas: model statistics and the repository index are asked of
// every ready endpoint, and the client gets one answer (serving/kserve_wire/replica_answers.h), or
// with `?per_replica=true` (or the field `tepal-per-replica: true`) each endpoint's own:
//
//   {"replicas":[{"endpoint":"10.0.0.1:8000","name":"left","status":200,"answer":{…}},
//                {"endpoint":"10.0.0.2:8000","name":"right","error":"no answer within 5000 ms"}]}
//
// Endpoints are asked side by side, kGatherMax of them at the most, within kTimeMax. The field
// tepal-replicas says how many have answered ("2 of 3"), tepal-missing which have not and why. One
// that answers with an error of its own (it does not have the model) is left out; when all do, the
// first of those answers is passed on. 502 when none has answered, 503 when there is none to ask.
// The access log has one line of it, with all that were asked (gather_record.h).
// With `tepal-endpoint: ADDRESS or name` that endpoint alone is asked, 404 when it is not up.
//
// Over gRPC (ModelStatistics, RepositoryIndex) those that come back are trailers. With the metadata
// `tepal-per-replica: true` the entries of each endpoint come one after the other in the one
// message, and the trailer `tepal-entries: 10.0.0.1:8001=2, 10.0.0.2:8001=1` says whose they are:
// the message has no field for it. Owned by one loop.

#pragma once

#include <memory>
#include <string>

#include "balancing/load_balancer/proxy_handler.h"

namespace tepal::lb {

inline constexpr size_t kGatherMax = 256;
inline constexpr Duration kGatherTimeMax = 5s;
inline constexpr size_t kGatherBodyBytesMax = 64 * 1024;  // Of the client's request.

// Whether the request is one of those.
bool IsGathered(const http::RequestHead& head);

// What a gathering uses of the proxy that it belongs to; outlives it.
struct GatherDoor {
  env::EventLoop& loop;
  net::HttpClient& client;
  Pool& pool;
  ProxyStatistics& statistics;
  std::shared_ptr<const ProxyOptions> options;
  std::string user;  // Who the client's token says it is; may be empty.
};

std::unique_ptr<http::RequestReceiver> Gather(const GatherDoor& door, const http::RequestHead& head,
                                              http::ResponseSender& sender);

// The same for gRPC; the door's client speaks HTTP/2.
bool IsGrpcGathered(std::string_view path);
std::unique_ptr<http::RequestReceiver> GatherGrpc(const GatherDoor& door,
                                                  const http::RequestHead& head,
                                                  http::ResponseSender& sender);

}  // namespace tepal::lb
