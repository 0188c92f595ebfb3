// A model's configuration as the bytes of its protobuf message: the one place of this room where a
// generated message is used.

#pragma once

#include <string>

#include "core/base/result.h"
#include "serving/model_config/model_config.h"

namespace tepal {

Result<std::string> ModelConfigMessage(const ModelConfig& config);

}  // namespace tepal
