// Where LibTorch gets the CPU's memory for tensors: large ones from a BlockCache of the process,
// the rest as it does by itself.

#pragma once

#include <cstddef>

namespace tepal_plugin {

// The memory of smaller tensors is not kept.
constexpr size_t kKeptTensorMin = 64 * 1024;
// What is kept of tensors that are gone, in bytes.
constexpr size_t kKeptTensorsMax = size_t{1} << 30;

// From now on. To be called before LibTorch is asked for memory: it must not be given back here
// what another allocator gave.
void KeepCpuTensors();

// Gives what is kept back to the system, as when a model is unloaded.
void TrimCpuTensors();

}  // namespace tepal_plugin
