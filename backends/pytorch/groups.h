// The requests of one execution, put together into groups that run as one batch.
//
// Neighbours whose inputs have the same types and the same shapes but for the number of rows run
// together; of a model that does not batch, every request runs alone. A request that is wrong or
// cancelled leaves with its error and does not hurt the others.

#pragma once

#include <functional>
#include <vector>

#include "backends/pytorch/settings.h"

namespace tepal_plugin {

struct RequestGroup {
  size_t begin = 0;  // Requests [begin, end) of the batch.
  size_t end = 0;
  std::vector<std::vector<Input>> inputs;  // By input of the model, then by request.
  std::vector<int64_t> rows;               // Of each request.
  int64_t total_rows = 0;
  Times times;
};

// Calls `run` for each group, in the order of the requests.
void ForEachGroup(RequestBatch& batch, const std::string& model, const TorchSettings& settings,
                  const std::function<void(RequestGroup&)>& run);

}  // namespace tepal_plugin
