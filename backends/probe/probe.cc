// The probe backend: does what a host of the interface must withstand. Tests only.
//
// Backend settings, for TRITONBACKEND_Initialize: `fail_initialise` and `throw_initialise` (the
// text of the error), `abort_initialise` (ends the process), `need_api_major` (of the interface).
// Model parameter `do`, for each request:
//   drop       releases it without an answer
//   silent     answers without reporting statistics
//   twice      sends two final responses
//   late       answers from another thread, after Execute has returned
//   stream     releases it, sends three responses through a factory, then the final flag
//   flag_only  sends the final flag and no response
//   look       answers what the accessors say, as response parameters
//   complete   (as the model is loaded) sets max_batch_size to 4 and adds tensors X and Y

#include <stdexcept>
#include <thread>

#include "backends/sugar/plugin.h"

namespace tepal_plugin {
namespace {

void Ignore(Error* error) { TRITONSERVER_ErrorDelete(error); }

class Probe : public Model {
 public:
  explicit Probe(std::string what) : what_(std::move(what)) {}

  // A host may free an instance once this has returned: its requests must be answered.
  void FinishInstance() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  void Execute(TRITONBACKEND_ModelInstance* instance, RequestBatch batch) override {
    for (size_t i = 0; i < batch.size(); ++i) Handle(instance, batch, i);
  }

 private:
  void Handle(TRITONBACKEND_ModelInstance* instance, RequestBatch& batch, size_t i) {
    TRITONBACKEND_Request* request = batch[i].handle();
    if (what_ == "late") {
      threads_.emplace_back([instance, request]() mutable {
        RequestBatch one(instance, &request, 1);
        Response response;
        Ignore(Response::To(one[0], response));
        one.Finish(0, std::move(response), nullptr, Times());
      });
      return;
    }
    if (what_ == "stream") return Stream(request);
    Response response;
    if (what_ == "flag_only") {
      TRITONBACKEND_ResponseFactory* factory = nullptr;
      Ignore(TRITONBACKEND_ResponseFactoryNew(&factory, request));
      Ignore(TRITONBACKEND_ResponseFactorySendFlags(factory, TRITONSERVER_RESPONSE_COMPLETE_FINAL));
      Ignore(TRITONBACKEND_ResponseFactoryDelete(factory));
    } else if (what_ != "drop") {
      Ignore(Response::To(batch[i], response));
    }
    if (what_ == "twice") {
      Response second;
      Ignore(Response::To(batch[i], second));
      second.SendFinal(nullptr);
      response.SendFinal(nullptr);
    } else if (what_ == "silent") {
      response.SendFinal(nullptr);
    } else if (what_ == "look") {
      return Look(batch, i);
    }
    Ignore(TRITONBACKEND_RequestRelease(request, TRITONSERVER_REQUEST_RELEASE_ALL));
  }

  static void Stream(TRITONBACKEND_Request* request) {
    TRITONBACKEND_ResponseFactory* factory = nullptr;
    Ignore(TRITONBACKEND_ResponseFactoryNew(&factory, request));
    Ignore(TRITONBACKEND_RequestRelease(request, TRITONSERVER_REQUEST_RELEASE_ALL));
    for (int64_t i = 0; i < 3; ++i) {
      TRITONBACKEND_Response* response = nullptr;
      Ignore(TRITONBACKEND_ResponseNewFromFactory(&response, factory));
      Ignore(TRITONBACKEND_ResponseSetIntParameter(response, "n", i));
      Ignore(TRITONBACKEND_ResponseSend(response, 0, nullptr));
    }
    Ignore(TRITONBACKEND_ResponseFactorySendFlags(factory, TRITONSERVER_RESPONSE_COMPLETE_FINAL));
    Ignore(TRITONBACKEND_ResponseFactoryDelete(factory));
  }

  static void Look(RequestBatch& batch, size_t i) {
    TRITONBACKEND_Request* request = batch[i].handle();
    TRITONBACKEND_Response* response = nullptr;
    Ignore(TRITONBACKEND_ResponseNew(&response, request));
    const char* text = nullptr;
    Ignore(TRITONBACKEND_RequestId(request, &text));
    Ignore(TRITONBACKEND_ResponseSetStringParameter(response, "id", text));
    uint64_t number = 0;
    Ignore(TRITONBACKEND_RequestCorrelationId(request, &number));
    Ignore(TRITONBACKEND_ResponseSetIntParameter(response, "correlation",
                                                 static_cast<int64_t>(number)));
    uint32_t count = 0;
    Ignore(TRITONBACKEND_RequestFlags(request, &count));
    Ignore(TRITONBACKEND_ResponseSetIntParameter(response, "flags", count));
    bool cancelled = false;
    Ignore(TRITONBACKEND_RequestIsCancelled(request, &cancelled));
    Ignore(TRITONBACKEND_ResponseSetBoolParameter(response, "cancelled", cancelled));
    Input input;
    Ignore(batch[i].InputAt(0, input));
    Ignore(TRITONBACKEND_ResponseSetStringParameter(response, "shape",
                                                    ShapeText(input.shape).c_str()));
    Error* error = TRITONBACKEND_RequestParameterCount(request, &count);
    for (uint32_t p = 0; error == nullptr && p < count; ++p) {
      TRITONSERVER_ParameterType type = TRITONSERVER_PARAMETER_INT;
      const void* value = nullptr;
      error = TRITONBACKEND_RequestParameter(request, p, &text, &type, &value);
      if (error == nullptr && type == TRITONSERVER_PARAMETER_DOUBLE) {
        Ignore(TRITONBACKEND_ResponseSetDoubleParameter(response, text,
                                                        *static_cast<const double*>(value)));
      }
    }
    Ignore(TRITONBACKEND_ResponseSend(response, TRITONSERVER_RESPONSE_COMPLETE_FINAL, error));
    Ignore(error);
    Ignore(TRITONBACKEND_RequestRelease(request, TRITONSERVER_REQUEST_RELEASE_ALL));
  }

  const std::string what_;
  std::vector<std::thread> threads_;
};

Error* Complete(TRITONBACKEND_Model* model, ModelFacts& facts) {
  Json tensor = Json::Object();
  tensor.Set("name", Json::String("X"));
  tensor.Set("data_type", Json::String("TYPE_FP32"));
  tensor.Set("dims", Json::Array());
  Json inputs = Json::Array();
  inputs.Append(tensor);
  tensor.Set("name", Json::String("Y"));
  Json outputs = Json::Array();
  outputs.Append(tensor);
  facts.config.Set("input", inputs);
  facts.config.Set("output", outputs);
  facts.config.Set("max_batch_size", Json::Number(4));
  const std::string text = facts.config.Write();
  TRITONSERVER_Message* message = nullptr;
  TEPAL_RETURN_IF_ERROR(
      TRITONSERVER_MessageNewFromSerializedJson(&message, text.data(), text.size()));
  Error* error = TRITONBACKEND_ModelSetConfig(model, 1, message);
  Ignore(TRITONSERVER_MessageDelete(message));
  TEPAL_RETURN_IF_ERROR(error);
  return facts.ReadConfig(model);
}

Error* Make(TRITONBACKEND_Model* model, ModelFacts facts, std::unique_ptr<Model>& made) {
  const std::string what = facts.Parameter("do");
  bool auto_complete = false;
  TEPAL_RETURN_IF_ERROR(TRITONBACKEND_ModelAutoCompleteConfig(model, &auto_complete));
  if (what == "complete" && auto_complete) {
    TEPAL_RETURN_IF_ERROR(Complete(model, facts));
    if (facts.max_batch_size != 4) return Internal("the completed configuration did not come back");
  }
  made = std::make_unique<Probe>(what);
  return nullptr;
}

}  // namespace
}  // namespace tepal_plugin

using namespace tepal_plugin;  // NOLINT

extern "C" {

TRITONSERVER_Error* TRITONBACKEND_Initialize(TRITONBACKEND_Backend* backend) {
  TRITONSERVER_Message* message = nullptr;
  const char* base = nullptr;
  size_t size = 0;
  TEPAL_RETURN_IF_ERROR(TRITONBACKEND_BackendConfig(backend, &message));
  TEPAL_RETURN_IF_ERROR(TRITONSERVER_MessageSerializeToJson(message, &base, &size));
  const Json settings = Json::Parse({base, size});
  const Json& wishes = settings["cmdline"];
  if (!wishes["throw_initialise"].text().empty()) {
    throw std::runtime_error(wishes["throw_initialise"].text());
  }
  if (!wishes["abort_initialise"].text().empty()) std::abort();
  if (!wishes["need_api_major"].text().empty()) {
    return CheckApiVersion(static_cast<uint32_t>(wishes["need_api_major"].AsInt()));
  }
  const Json& text = wishes["fail_initialise"];
  return text.text().empty() ? nullptr : InvalidArgument(text.text());
}

TRITONSERVER_Error* TRITONBACKEND_ModelInitialize(TRITONBACKEND_Model* model) {
  return InitializeModel(model, Make);
}
TRITONSERVER_Error* TRITONBACKEND_ModelFinalize(TRITONBACKEND_Model* model) {
  return FinalizeModel(model);
}
TRITONSERVER_Error* TRITONBACKEND_ModelInstanceFinalize(TRITONBACKEND_ModelInstance* instance) {
  TRITONBACKEND_Model* model = nullptr;
  TEPAL_RETURN_IF_ERROR(TRITONBACKEND_ModelInstanceModel(instance, &model));
  static_cast<Probe*>(ModelOf(model))->FinishInstance();
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_ModelInstanceExecute(TRITONBACKEND_ModelInstance* instance,
                                                       TRITONBACKEND_Request** requests,
                                                       const uint32_t count) {
  return ExecuteModel(instance, requests, count);
}

}  // extern "C"
