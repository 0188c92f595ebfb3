// What was read of a cluster, and what of it may not be read.

#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/function.h"
#include "core/json/value.h"
#include "network/kube/client.h"

namespace tepal::diagnosis {

struct Fetched {
  int http_status = 0;  // 200: read. 404: the cluster has no such kind. 0: no answer.
  std::string problem;  // The server's words otherwise.
  std::vector<json::Value> items;
  json::Value body;  // Of what is no list.
  bool ok() const { return http_status >= 200 && http_status < 300; }
};

class ClusterView {
 public:
  // By their names in `kClusterQueries`; one that was not asked for is as one without an answer.
  const Fetched& Of(std::string_view name) const;
  const std::vector<json::Value>& Items(std::string_view name) const { return Of(name).items; }
  std::map<std::string, Fetched, std::less<>> fetched;
};

struct ClusterQuery {
  std::string_view name, path;
  std::string_view body;  // Empty: GET; otherwise what is posted.
};
extern const std::vector<ClusterQuery> kClusterQueries;

// Asks for all of it; `done` runs once on the client's loop. Changes nothing: the one POST is a
// question about rights.
void ReadCluster(kube::Client& client, Function<void(ClusterView)> done);

}  // namespace tepal::diagnosis
