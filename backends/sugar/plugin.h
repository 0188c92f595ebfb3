// C++ sugar over the TRITONBACKEND C interface, for those who write backends. Header-only: a plugin
// links nothing of the server, and loads into Tepal and into Triton alike.
//
// A backend is a class derived from Backend with the functions it needs; TEPAL_PLUGIN(Class) makes
// the C entry points of it. See backends/identity for a whole one.

#pragma once

#include <chrono>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backends/sugar/json.h"
#include "serving/backend/abi/tepal_extensions.h"

// The C functions give an error or null; pass an error on.
#define TEPAL_RETURN_IF_ERROR(expression)                         \
  do {                                                            \
    if (TRITONSERVER_Error* error_of_expression = (expression)) { \
      return error_of_expression;                                 \
    }                                                             \
  } while (false)

namespace tepal_plugin {

using Error = TRITONSERVER_Error;  // Null is success; whoever gets one deletes it or passes it on.

inline Error* Fail(TRITONSERVER_Error_Code code, const std::string& message) {
  return TRITONSERVER_ErrorNew(code, message.c_str());
}
inline Error* InvalidArgument(const std::string& message) {
  return Fail(TRITONSERVER_ERROR_INVALID_ARG, message);
}
inline Error* Internal(const std::string& message) {
  return Fail(TRITONSERVER_ERROR_INTERNAL, message);
}

inline void Log(TRITONSERVER_LogLevel level, const std::string& message,
                const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  TRITONSERVER_ErrorDelete(TRITONSERVER_LogMessage(level, file, line, message.c_str()));
}

// The clock that statistics are reported in.
inline uint64_t NowNs() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                   std::chrono::steady_clock::now().time_since_epoch())
                                   .count());
}

inline std::string ShapeText(std::span<const int64_t> shape) {
  std::string text = "[";
  for (const int64_t length : shape) {
    if (text.size() > 1) text += ",";
    text += std::to_string(length);
  }
  return text + "]";
}

// Bytes of a tensor where the server has them, or wants them.
struct MemoryPart {
  std::byte* data = nullptr;  // Of an input: only to be read.
  size_t size = 0;
  TRITONSERVER_MemoryType memory = TRITONSERVER_MEMORY_CPU;
  int64_t device = 0;

  bool on_gpu() const { return memory == TRITONSERVER_MEMORY_GPU; }
  // Whether a GPU can copy from and to it by itself.
  bool gpu_reaches() const { return memory != TRITONSERVER_MEMORY_CPU; }
};

// One input of one request.
struct Input {
  TRITONBACKEND_Input* handle = nullptr;
  const char* name = nullptr;
  TRITONSERVER_DataType type = TRITONSERVER_TYPE_INVALID;
  std::span<const int64_t> shape;
  uint64_t byte_size = 0;
  uint32_t buffer_count = 0;

  static Error* From(TRITONBACKEND_Input* handle, Input& out) {
    const int64_t* shape = nullptr;
    uint32_t rank = 0;
    out.handle = handle;
    TEPAL_RETURN_IF_ERROR(TRITONBACKEND_InputProperties(handle, &out.name, &out.type, &shape, &rank,
                                                        &out.byte_size, &out.buffer_count));
    out.shape = {shape, rank};
    return nullptr;
  }

  // A piece of the data, wherever it lies. An instance that is not on a GPU gets none that is.
  Error* PartAnywhere(uint32_t index, MemoryPart& out) const {
    const void* data = nullptr;
    uint64_t size = 0;
    TEPAL_RETURN_IF_ERROR(
        TRITONBACKEND_InputBuffer(handle, index, &data, &size, &out.memory, &out.device));
    out.data = static_cast<std::byte*>(const_cast<void*>(data));
    out.size = size;
    return nullptr;
  }

  // A piece of the data in the memory of the CPU.
  Error* Part(uint32_t index, std::span<const std::byte>& out) const {
    MemoryPart part;
    TEPAL_RETURN_IF_ERROR(PartAnywhere(index, part));
    if (part.on_gpu()) {
      return Fail(TRITONSERVER_ERROR_UNSUPPORTED,
                  std::string("input '") + name + "' lies in GPU memory");
    }
    out = {part.data, part.size};
    return nullptr;
  }

  // All of the data; `to` holds byte_size bytes.
  Error* CopyTo(std::byte* to) const {
    for (uint32_t i = 0; i < buffer_count; ++i) {
      std::span<const std::byte> part;
      TEPAL_RETURN_IF_ERROR(Part(i, part));
      if (!part.empty()) std::memcpy(to, part.data(), part.size());
      to += part.size();
    }
    return nullptr;
  }
};

// A request, as long as the backend has it.
class Request {
 public:
  explicit Request(TRITONBACKEND_Request* handle) : handle_(handle) {}
  TRITONBACKEND_Request* handle() const { return handle_; }

  Error* FindInput(const char* name, Input& out) const {
    TRITONBACKEND_Input* input = nullptr;
    TEPAL_RETURN_IF_ERROR(TRITONBACKEND_RequestInput(handle_, name, &input));
    return Input::From(input, out);
  }
  Error* InputAt(uint32_t index, Input& out) const {
    TRITONBACKEND_Input* input = nullptr;
    TEPAL_RETURN_IF_ERROR(TRITONBACKEND_RequestInputByIndex(handle_, index, &input));
    return Input::From(input, out);
  }
  uint32_t OutputCount() const {
    uint32_t count = 0;
    TRITONSERVER_ErrorDelete(TRITONBACKEND_RequestOutputCount(handle_, &count));
    return count;
  }
  Error* OutputName(uint32_t index, const char*& name) const {
    return TRITONBACKEND_RequestOutputName(handle_, index, &name);
  }
  bool Wants(std::string_view output) const {
    for (uint32_t i = 0; i < OutputCount(); ++i) {
      const char* name = nullptr;
      if (Error* error = OutputName(i, name)) {
        TRITONSERVER_ErrorDelete(error);
        return false;
      }
      if (output == name) return true;
    }
    return false;
  }
  // Rows of it in a batch: the first dimension of its first input.
  uint64_t Rows(bool batches) const {
    Input first;
    if (!batches) return 1;
    if (Error* error = InputAt(0, first)) {
      TRITONSERVER_ErrorDelete(error);
      return 1;
    }
    return first.shape.empty() ? 1 : static_cast<uint64_t>(first.shape[0]);
  }

 private:
  TRITONBACKEND_Request* handle_;
};

// An answer in the making; deleted if it is not sent.
class Response {
 public:
  static Error* To(Request request, Response& out) {
    return TRITONBACKEND_ResponseNew(&out.handle_, request.handle());
  }
  Response() = default;
  Response(Response&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Response& operator=(Response&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Response() {
    if (handle_ != nullptr) TRITONSERVER_ErrorDelete(TRITONBACKEND_ResponseDelete(handle_));
  }

  // Memory for an output of `byte_size` bytes, wherever the client wants it.
  Error* AddOutputAnywhere(const char* name, TRITONSERVER_DataType type,
                           std::span<const int64_t> shape, uint64_t byte_size, MemoryPart& out) {
    TRITONBACKEND_Output* output = nullptr;
    TEPAL_RETURN_IF_ERROR(TRITONBACKEND_ResponseOutput(handle_, &output, name, type, shape.data(),
                                                       static_cast<uint32_t>(shape.size())));
    void* buffer = nullptr;
    out.memory = TRITONSERVER_MEMORY_CPU;
    TEPAL_RETURN_IF_ERROR(
        TRITONBACKEND_OutputBuffer(output, &buffer, byte_size, &out.memory, &out.device));
    out.data = static_cast<std::byte*>(buffer);
    out.size = byte_size;
    return nullptr;
  }

  // The same in the memory of the CPU.
  Error* AddOutput(const char* name, TRITONSERVER_DataType type, std::span<const int64_t> shape,
                   uint64_t byte_size, std::byte*& data) {
    MemoryPart part;
    TEPAL_RETURN_IF_ERROR(AddOutputAnywhere(name, type, shape, byte_size, part));
    if (part.on_gpu()) {
      return Fail(TRITONSERVER_ERROR_UNSUPPORTED,
                  std::string("output '") + name + "' was given GPU memory");
    }
    data = part.data;
    return nullptr;
  }

  // Sends it as the last one, as an error if there is one (which stays the caller's).
  void SendFinal(Error* error) {
    TRITONSERVER_ErrorDelete(TRITONBACKEND_ResponseSend(
        std::exchange(handle_, nullptr), TRITONSERVER_RESPONSE_COMPLETE_FINAL, error));
  }

 private:
  TRITONBACKEND_Response* handle_ = nullptr;
};

// When the parts of an execution began and ended.
struct Times {
  uint64_t exec_start = NowNs();
  uint64_t compute_start = exec_start;
  uint64_t compute_end = exec_start;
  uint64_t exec_end = exec_start;
};

// The requests of one Execute, from which each leaves with one answer.
class RequestBatch {
 public:
  RequestBatch(TRITONBACKEND_ModelInstance* instance, TRITONBACKEND_Request** requests,
               uint32_t count)
      : instance_(instance), requests_(requests, count) {}

  size_t size() const { return requests_.size(); }
  Request operator[](size_t index) const { return Request(requests_[index]); }

  // Sends `response` (or the error, which it deletes), reports and releases the request.
  void Finish(size_t index, Response response, Error* error, const Times& times) {
    response.SendFinal(error);
    TRITONSERVER_ErrorDelete(TRITONBACKEND_ModelInstanceReportStatistics(
        instance_, requests_[index], error == nullptr, times.exec_start, times.compute_start,
        times.compute_end, times.exec_end));
    TRITONSERVER_ErrorDelete(error);
    TRITONSERVER_ErrorDelete(
        TRITONBACKEND_RequestRelease(requests_[index], TRITONSERVER_REQUEST_RELEASE_ALL));
  }
  // Sends the error as the answer and deletes it.
  void FinishWithError(size_t index, Error* error, const Times& times) {
    Response response;
    if (Error* failed = Response::To((*this)[index], response)) {
      // No response can be made: the host answers as the request is released.
      TRITONSERVER_ErrorDelete(failed);
      TRITONSERVER_ErrorDelete(error);
      TRITONSERVER_ErrorDelete(
          TRITONBACKEND_RequestRelease(requests_[index], TRITONSERVER_REQUEST_RELEASE_ALL));
      return;
    }
    Finish(index, std::move(response), error, times);
  }
  void ReportBatch(uint64_t rows, const Times& times) {
    TRITONSERVER_ErrorDelete(TRITONBACKEND_ModelInstanceReportBatchStatistics(
        instance_, rows, times.exec_start, times.compute_start, times.compute_end, times.exec_end));
  }

  // Answers each request on its own by `answer(request, response)`, then reports the batch.
  template <typename Answer>
  void AnswerEach(bool batches, Times times, Answer answer) {
    uint64_t rows = 0;
    for (size_t i = 0; i < size(); ++i) {
      rows += (*this)[i].Rows(batches);
      Response response;
      if (Error* error = Response::To((*this)[i], response)) {
        FinishWithError(i, error, times);
        continue;
      }
      Error* error = answer((*this)[i], response);
      times.compute_end = times.exec_end = NowNs();
      Finish(i, std::move(response), error, times);
    }
    ReportBatch(rows, times);
  }

 private:
  TRITONBACKEND_ModelInstance* instance_;
  std::span<TRITONBACKEND_Request*> requests_;
};

// What a model's configuration says, as far as most backends ask.
struct ModelFacts {
  std::string name;
  std::string directory;  // Holds the version directories.
  uint64_t version = 1;
  Json config;
  int64_t max_batch_size = 0;

  bool batches() const { return max_batch_size > 0; }

  // The text of a model parameter, or `otherwise`.
  std::string Parameter(std::string_view key, const std::string& otherwise = {}) const {
    const Json& value = config["parameters"][key]["string_value"];
    return value.kind() == Json::Kind::kString ? value.text() : otherwise;
  }
  // A model parameter that is a whole number of 0 or more; an error that names it otherwise.
  Error* NumberParameter(std::string_view key, int64_t otherwise, int64_t& out) const {
    const std::string text = Parameter(key);
    out = otherwise;
    if (text.empty()) return nullptr;
    char* end = nullptr;
    out = std::strtoll(text.c_str(), &end, 10);
    if (*end == '\0' && out >= 0) return nullptr;
    return InvalidArgument("model '" + name + "': parameter '" + std::string(key) +
                           "' must be a whole number of 0 or more, got '" + text + "'");
  }

  static Error* Of(TRITONBACKEND_Model* model, ModelFacts& out) {
    const char* text = nullptr;
    TEPAL_RETURN_IF_ERROR(TRITONBACKEND_ModelName(model, &text));
    out.name = text;
    TEPAL_RETURN_IF_ERROR(TRITONBACKEND_ModelVersion(model, &out.version));
    TRITONBACKEND_ArtifactType artifact = TRITONBACKEND_ARTIFACT_FILESYSTEM;
    TEPAL_RETURN_IF_ERROR(TRITONBACKEND_ModelRepository(model, &artifact, &text));
    out.directory = text;
    return out.ReadConfig(model);
  }

  // Again, after TRITONBACKEND_ModelSetConfig.
  Error* ReadConfig(TRITONBACKEND_Model* model) {
    TRITONSERVER_Message* message = nullptr;
    TEPAL_RETURN_IF_ERROR(TRITONBACKEND_ModelConfig(model, 1, &message));
    const char* base = nullptr;
    size_t size = 0;
    Error* error = TRITONSERVER_MessageSerializeToJson(message, &base, &size);
    if (error == nullptr) config = Json::Parse({base, size});
    TRITONSERVER_ErrorDelete(TRITONSERVER_MessageDelete(message));
    TEPAL_RETURN_IF_ERROR(error);
    if (config.kind() != Json::Kind::kObject) {
      return Internal("model '" + name + "': its configuration is not a JSON object");
    }
    max_batch_size = config["max_batch_size"].AsInt();
    return nullptr;
  }
};

// Refuses a host whose interface is another, or older than this backend needs: by default, than the
// headers it was compiled with. Say less where the functions you call have been there for longer.
inline Error* CheckApiVersion(uint32_t need_major = TRITONBACKEND_API_VERSION_MAJOR,
                              uint32_t need_minor = TRITONBACKEND_API_VERSION_MINOR) {
  uint32_t major = 0;
  uint32_t minor = 0;
  TEPAL_RETURN_IF_ERROR(TRITONBACKEND_ApiVersion(&major, &minor));
  if (major == need_major && minor >= need_minor) return nullptr;
  return Fail(TRITONSERVER_ERROR_UNSUPPORTED,
              "the server offers TRITONBACKEND API " + std::to_string(major) + "." +
                  std::to_string(minor) + ", the backend needs " + std::to_string(need_major) +
                  "." + std::to_string(need_minor));
}

// One model of a backend; derive from it. A model serves all its instances, so Execute may run on
// several threads at once.
class Model {
 public:
  virtual ~Model() = default;
  virtual void Execute(TRITONBACKEND_ModelInstance* instance, RequestBatch batch) = 0;
  // TEPAL_BACKEND_* flags.
  virtual uint64_t traits() const { return 0; }
};

// No exception leaves a plugin.
template <typename Call>
Error* Caught(Call call) {
  try {
    return call();
  } catch (const std::exception& thrown) {
    return Internal(std::string("unexpected exception: ") + thrown.what());
  } catch (...) {
    return Internal("unexpected exception");
  }
}

inline Model* ModelOf(TRITONBACKEND_Model* model) {
  void* state = nullptr;
  TRITONSERVER_ErrorDelete(TRITONBACKEND_ModelState(model, &state));
  return static_cast<Model*>(state);
}

template <typename Make>
Error* InitializeModel(TRITONBACKEND_Model* model, Make make) {
  return Caught([&]() -> Error* {
    ModelFacts facts;
    TEPAL_RETURN_IF_ERROR(ModelFacts::Of(model, facts));
    std::unique_ptr<Model> made;
    TEPAL_RETURN_IF_ERROR(make(model, std::move(facts), made));
    return TRITONBACKEND_ModelSetState(model, made.release());
  });
}

inline Error* FinalizeModel(TRITONBACKEND_Model* model) {
  return Caught([&]() -> Error* {
    const std::unique_ptr<Model> owned(ModelOf(model));
    return TRITONBACKEND_ModelSetState(model, nullptr);
  });
}

inline Error* ExecuteModel(TRITONBACKEND_ModelInstance* instance, TRITONBACKEND_Request** requests,
                           uint32_t count) {
  return Caught([&]() -> Error* {
    TRITONBACKEND_Model* model = nullptr;
    TEPAL_RETURN_IF_ERROR(TRITONBACKEND_ModelInstanceModel(instance, &model));
    ModelOf(model)->Execute(instance, RequestBatch(instance, requests, count));
    return nullptr;
  });
}

}  // namespace tepal_plugin

// The entry points of a backend whose models are made by
//   Error* make(TRITONBACKEND_Model*, ModelFacts, std::unique_ptr<Model>&).
#define TEPAL_PLUGIN(make)                                                                      \
  extern "C" {                                                                                  \
  TRITONSERVER_Error* TRITONBACKEND_Initialize(TRITONBACKEND_Backend*) {                        \
    return tepal_plugin::CheckApiVersion();                                                     \
  }                                                                                             \
  TRITONSERVER_Error* TRITONBACKEND_ModelInitialize(TRITONBACKEND_Model* model) {               \
    return tepal_plugin::InitializeModel(model, make);                                          \
  }                                                                                             \
  TRITONSERVER_Error* TRITONBACKEND_ModelFinalize(TRITONBACKEND_Model* model) {                 \
    return tepal_plugin::FinalizeModel(model);                                                  \
  }                                                                                             \
  TRITONSERVER_Error* TRITONBACKEND_ModelInstanceExecute(TRITONBACKEND_ModelInstance* instance, \
                                                         TRITONBACKEND_Request** requests,      \
                                                         const uint32_t count) {                \
    return tepal_plugin::ExecuteModel(instance, requests, count);                               \
  }                                                                                             \
  uint64_t TEPAL_BackendTraits(TRITONBACKEND_Model* model) {                                    \
    return tepal_plugin::ModelOf(model)->traits();                                              \
  }                                                                                             \
  }
