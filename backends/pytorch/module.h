// One TorchScript file on one device; runner.h executes it. The same source builds against LibTorch
// 1.13 and 2.x, with CUDA and without.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backends/pytorch/settings.h"

namespace tepal_plugin {

constexpr int kCpuDevice = -1;

// "LibTorch 1.13.1 without CUDA": for logs and errors.
std::string TorchText();

struct LoadedModule;  // Thread-safe once loaded.

// `device`: a GPU's number or kCpuDevice. The error names the file, or the GPU that is not there.
Error* LoadModule(const std::string& path, int device, std::shared_ptr<LoadedModule>& out);

// The names of forward's arguments, without self.
const std::vector<std::string>& ForwardArguments(const LoadedModule& module);

}  // namespace tepal_plugin
