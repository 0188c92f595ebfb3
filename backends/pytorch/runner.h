// Executes a loaded module, one batch at a time.
//
// On a GPU a runner has a stream of its own. What lies on a GPU or in pinned memory (CUDA and
// system shared memory, large request bodies) goes to the input by itself; the rest is gathered in
// pinned memory of the runner first. Results go the same ways back. Several runners of a device
// overlap one's copies with another's computation. It does not keep GPU memory from growing:
// LibTorch's allocator does that, and when it fails the error is UNAVAILABLE and the runner lives.

#pragma once

#include <memory>
#include <string>

#include "backends/pytorch/module.h"
#include "backends/sugar/device_runner.h"

namespace tepal_plugin {

class TorchRunner : public DeviceRunner {
 public:
  // Captures the CUDA graphs that the settings ask for (on a GPU).
  static Error* Make(std::shared_ptr<LoadedModule> module, const std::string& model,
                     const TorchSettings& settings, std::unique_ptr<TorchRunner>& out);
};

}  // namespace tepal_plugin
