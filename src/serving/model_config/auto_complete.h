// Fills a configuration with what the backend read from the model itself.
//
// What the configuration says wins; where it contradicts the model the answer is an error, because
// the model would fail at its first request.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "serving/model_config/parse.h"

namespace tepal {

// What a backend found in a model's file, batch dimension included.
struct ModelReport {
  struct Tensor {
    std::string name;
    DataType type = DataType::kInvalid;
    Shape shape;  // -1 where the model takes any length.
    bool optional = false;
  };
  std::vector<Tensor> inputs;
  std::vector<Tensor> outputs;
};

// --backend-config=default-max-batch-size.
inline constexpr int32_t kDefaultMaxBatchSize = 4;

// Whether every tensor leads with a dimension of any length.
bool CanBatch(const ModelReport& report);

// 1. Without max_batch_size, a model that can batch gets `default_max_batch_size`, and dynamic
//    batching with its defaults when that is above 1 and no scheduler was chosen.
// 2. Inputs that the configuration does not name are added, and the outputs when it names none (it
// may
//    serve some only); of those it names, the type and dims it left out are filled in.
// kInvalidArgument names the tensor, what the configuration says and what the model has.
Status AutoComplete(ConfigDraft& draft, const ModelReport& report,
                    int32_t default_max_batch_size = kDefaultMaxBatchSize);

}  // namespace tepal
