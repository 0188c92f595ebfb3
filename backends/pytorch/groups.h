// The requests of one execution, put together into groups that run as one batch.
//
// Neighbours whose inputs have the same types and the same shapes but for the number of rows run
// together; of a model that does not batch, every request runs alone. A request that is wrong or
// cancelled leaves with its error and does not hurt the others.

#pragma once

#include <functional>
#include <vector>

#include "backends/pytorch/settings.h"
#include "backends/sugar/device_runner.h"

namespace tepal_plugin {

// Calls `run` for each group, in the order of the requests.
void ForEachGroup(RequestBatch& batch, const std::string& model, const TorchSettings& settings,
                  const std::function<void(RequestGroup&)>& run);

}  // namespace tepal_plugin
