// The defaults that need no look into the model: which backend, which file, which policy, which
// instances.

#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "serving/model_config/parse.h"

namespace tepal {

// The name, when it is empty, and platform, backend and default_model_filename, each from the
// others: `platform: "onnxruntime_onnx"` means backend "onnxruntime" and file "model.onnx". When
// none of them is given, from what the first version's directory holds (`version_files`), at last
// from a model name of the form "model.<backend>". kInvalidArgument when nothing tells.
Status CompleteBackend(ConfigDraft& draft, std::string_view model_name,
                       std::span<const std::string> version_files);

// Version policy (the latest one), preferred batch sizes (the largest), sequence idle time (1 s),
// pinned memory (on).
void Normalise(ConfigDraft& draft);

struct InstancePlacement {
  std::vector<int32_t> gpus;  // That the server may use.
  // What the backend would like when the configuration is silent, the best first.
  std::vector<InstanceGroup> preferred;
};

// At least one instance group, each with its name, kind, count and GPUs. Ensembles have none.
void NormaliseInstanceGroups(ConfigDraft& draft, const InstancePlacement& placement);

}  // namespace tepal
