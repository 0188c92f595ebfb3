// What stands behind LoadedModule, and a call of its forward. Included by the files that include
// LibTorch.

#pragma once

#include <torch/script.h>

#include <string>
#include <vector>

#include "backends/pytorch/module.h"

namespace tepal_plugin {

struct LoadedModule {
  torch::jit::Module module;
  at::Device device = at::kCPU;
  int ordinal = kCpuDevice;  // Of the GPU that it is on.
  std::vector<std::string> arguments;

  bool gpu() const { return ordinal != kCpuDevice; }
};

// Which argument and which result each tensor of the configuration is. Immutable once prepared.
class ForwardCall {
 public:
  // `subject` stands in front of errors. All three outlive this.
  ForwardCall(LoadedModule& module, const std::string& subject, const TorchSettings& settings)
      : module_(module), subject_(subject), settings_(settings) {}
  Error* Prepare(const std::string& model);

  // forward(inputs...) and its results in the order of the configuration's outputs. Throws what
  // LibTorch throws.
  Error* Run(const std::vector<at::Tensor>& inputs, std::vector<at::Tensor>& outputs) const;

 private:
  Error* Result(const c10::IValue& result, size_t output, at::Tensor& out) const;
  Error* CheckResult(const std::string& subject, const TensorSettings& wanted,
                     const at::Tensor& got) const;

  LoadedModule& module_;
  const std::string& subject_;
  const TorchSettings& settings_;
  std::vector<size_t> input_places_, output_places_;
};

}  // namespace tepal_plugin
