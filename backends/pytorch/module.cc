#include "backends/pytorch/module.h"

#include <torch/csrc/api/include/torch/version.h>
#include <torch/script.h>

#include "backends/pytorch/gpu.h"
#include "backends/pytorch/loaded_module.h"

namespace tepal_plugin {

std::string TorchText() {
#ifdef TEPAL_TORCH_CUDA
  return "LibTorch " TORCH_VERSION " with CUDA";
#else
  return "LibTorch " TORCH_VERSION " without CUDA";
#endif
}

Error* LoadModule(const std::string& path, int device, std::shared_ptr<LoadedModule>& out) {
  auto loaded = std::make_shared<LoadedModule>();
  if (device != kCpuDevice) {
    const int count = GpuCount();
    if (device >= count) {
      return Fail(TRITONSERVER_ERROR_UNAVAILABLE, "unable to load '" + path + "' on GPU " +
                                                      std::to_string(device) + ": " + TorchText() +
                                                      " finds " + std::to_string(count) + " GPUs");
    }
    loaded->ordinal = device;
    loaded->device = GpuDevice(device);
  }
  try {
    loaded->module = torch::jit::load(path, loaded->device);
    loaded->module.eval();
    const auto method = loaded->module.find_method("forward");
    if (!method) return InvalidArgument("unable to load '" + path + "': it has no forward method");
    const auto& arguments = method->function().getSchema().arguments();
    for (size_t i = 1; i < arguments.size(); ++i) loaded->arguments.push_back(arguments[i].name());
  } catch (const c10::Error& error) {
    return InvalidArgument("unable to load '" + path + "': " + error.what_without_backtrace());
  } catch (const std::exception& error) {
    return InvalidArgument("unable to load '" + path + "': " + error.what());
  }
  out = std::move(loaded);
  return nullptr;
}

const std::vector<std::string>& ForwardArguments(const LoadedModule& module) {
  return module.arguments;
}

}  // namespace tepal_plugin
