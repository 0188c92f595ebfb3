#include "serving/model_config/model_config.h"

#include <algorithm>

namespace tepal {
namespace {

template <typename Tensor>
const Tensor* FindByName(const std::vector<Tensor>& tensors, std::string_view name) {
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const Tensor& tensor) { return tensor.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

}  // namespace

const ModelInput* ModelConfig::FindInput(std::string_view input) const {
  return FindByName(inputs, input);
}

const ModelOutput* ModelConfig::FindOutput(std::string_view output) const {
  return FindByName(outputs, output);
}

}  // namespace tepal
