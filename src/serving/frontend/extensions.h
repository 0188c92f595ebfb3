// The protocol's extensions that this server has, as its metadata lists them.

#pragma once

#include <string_view>

namespace tepal {

inline constexpr std::string_view kExtensions[] = {
    "classification",  "model_repository",    "model_repository(unload_dependents)",
    "schedule_policy", "model_configuration", "binary_tensor_data",
    "parameters",      "statistics"};

}  // namespace tepal
