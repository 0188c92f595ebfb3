// The bare loop of LibTorch, in inference mode: torchscript_bare MODEL INPUT ROWS THREADS.

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <torch/script.h>

#include <cstdio>
#include <exception>

#include "bench/bare/bare_loop.h"

namespace tepal_bench {
namespace {

int Run(const BareOptions& options) {
  at::set_num_threads(options.threads);
  const c10::InferenceMode inference;
  torch::jit::Module module = torch::jit::load(options.model);
  module.eval();
  std::vector<float> values = ReadInput(options);
  const at::Tensor input = at::from_blob(
      values.data(), {options.rows, kRowShape[0], kRowShape[1], kRowShape[2]}, at::kFloat);
  at::Tensor output;
  return ServeLoop([&] {
    output = module.forward({input}).toTensor().contiguous();
    return static_cast<const float*>(output.data_ptr());
  });
}

}  // namespace
}  // namespace tepal_bench

int main(int count, char** arguments) {
  const tepal_bench::BareOptions options = tepal_bench::ReadOptions(count, arguments, 1);
  try {
    return tepal_bench::Run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "torchscript_bare: %s\n", error.what());
    return 1;
  }
}
