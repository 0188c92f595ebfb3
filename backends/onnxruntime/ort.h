// ONNX Runtime's C API with C++ ownership: what is created here is released when it goes out of
// scope, and an OrtStatus becomes an error of the plugin.

#pragma once

#include <memory>
#include <string>

#include "backends/sugar/plugin.h"
#include "third_party/onnxruntime/onnxruntime_c_api.h"

namespace tepal_plugin {

// One member of OrtApi that releases something.
template <typename Handle>
class OrtOwned {
 public:
  using Release = void (*)(Handle*);
  OrtOwned() = default;
  OrtOwned(Handle* handle, Release release) : handle_(handle), release_(release) {}
  OrtOwned(OrtOwned&& other) noexcept
      : handle_(std::exchange(other.handle_, nullptr)), release_(other.release_) {}
  OrtOwned& operator=(OrtOwned&& other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(release_, other.release_);
    return *this;
  }
  ~OrtOwned() {
    if (handle_ != nullptr) release_(handle_);
  }
  Handle* get() const { return handle_; }

 private:
  Handle* handle_ = nullptr;
  Release release_ = nullptr;
};

// The library, loaded once for the backend; lives as long as the process.
struct OrtRuntime {
  const OrtApi* api = nullptr;
  OrtOwned<OrtEnv> environment;
  OrtOwned<OrtMemoryInfo> cpu_memory;
  OrtAllocator* allocator = nullptr;  // ONNX Runtime's own.

  // From `directory`, then from where the system looks. The error says what was tried.
  static Error* Load(const std::string& directory, std::unique_ptr<OrtRuntime>& out);

  // The error of a status, which it releases; null for a null status.
  Error* Check(OrtStatus* status, const std::string& doing) const;
};

TRITONSERVER_DataType DataTypeOf(ONNXTensorElementDataType type);
ONNXTensorElementDataType OrtTypeOf(TRITONSERVER_DataType type);

}  // namespace tepal_plugin
