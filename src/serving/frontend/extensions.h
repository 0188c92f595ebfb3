// The protocol's extensions that this server has, as its metadata lists them.

#pragma once

#include <string_view>
#include <vector>

namespace tepal {

// In Triton's order. `shared_memory`: clients may register regions.
inline std::vector<std::string_view> Extensions(bool shared_memory) {
  std::vector<std::string_view> all = {"classification", "model_repository",
                                       "model_repository(unload_dependents)", "schedule_policy",
                                       "model_configuration"};
  if (shared_memory) all.insert(all.end(), {"system_shared_memory", "cuda_shared_memory"});
  all.insert(all.end(), {"binary_tensor_data", "parameters", "statistics", "logging"});
  return all;
}

}  // namespace tepal
