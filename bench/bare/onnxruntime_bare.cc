// The bare loop of ONNX Runtime, with the session options that the plugin has by default:
// onnxruntime_bare LIBRARY MODEL INPUT ROWS THREADS.

#include <dlfcn.h>

#include <cstdio>
#include <exception>
#include <stdexcept>

#include "bench/bare/bare_loop.h"
#include "third_party/onnxruntime/onnxruntime_c_api.h"

namespace tepal_bench {
namespace {

const OrtApi* Open(const char* library) {
  void* handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) throw std::runtime_error(dlerror());
  const auto get = reinterpret_cast<const OrtApiBase* (*)(void)>(dlsym(handle, "OrtGetApiBase"));
  if (get == nullptr) throw std::runtime_error(std::string(library) + " has no OrtGetApiBase");
  return get()->GetApi(ORT_API_VERSION);
}

// What is made here lives as long as the program.
int Run(const OrtApi& api, const BareOptions& options) {
  const auto check = [&](OrtStatus* status) {
    if (status != nullptr) throw std::runtime_error(api.GetErrorMessage(status));
  };
  OrtEnv* environment = nullptr;
  OrtSessionOptions* settings = nullptr;
  OrtSession* session = nullptr;
  OrtMemoryInfo* memory = nullptr;
  check(api.CreateEnv(ORT_LOGGING_LEVEL_WARNING, "bare", &environment));
  check(api.CreateSessionOptions(&settings));
  check(api.SetIntraOpNumThreads(settings, options.threads));
  check(api.SetSessionExecutionMode(settings, ORT_SEQUENTIAL));
  check(api.SetSessionGraphOptimizationLevel(settings, ORT_ENABLE_ALL));
  check(api.CreateSession(environment, options.model.c_str(), settings, &session));
  check(api.CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));

  std::vector<float> values = ReadInput(options);
  const int64_t shape[] = {options.rows, kRowShape[0], kRowShape[1], kRowShape[2]};
  OrtValue* input = nullptr;
  check(api.CreateTensorWithDataAsOrtValue(memory, values.data(), values.size() * sizeof(float),
                                           shape, 4, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &input));
  OrtValue* output = nullptr;
  return ServeLoop([&]() -> const float* {
    if (output != nullptr) api.ReleaseValue(output);
    output = nullptr;
    const char* input_name = "input";
    const char* output_name = "probabilities";
    check(api.Run(session, nullptr, &input_name, &input, 1, &output_name, 1, &output));
    void* results = nullptr;
    check(api.GetTensorMutableData(output, &results));
    return static_cast<const float*>(results);
  });
}

}  // namespace
}  // namespace tepal_bench

int main(int count, char** arguments) {
  const tepal_bench::BareOptions options = tepal_bench::ReadOptions(count, arguments, 2);
  try {
    return tepal_bench::Run(*tepal_bench::Open(arguments[1]), options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "onnxruntime_bare: %s\n", error.what());
    return 1;
  }
}
