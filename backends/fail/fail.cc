// The fail backend: answers every request with an error, for tests of how errors travel.
//
// Model parameters: `message` ("model said no") and `how`: "response" (an error response for each
// request), "execute" (Execute returns the error) or "throw" (Execute throws it).

#include <stdexcept>

#include "backends/sugar/plugin.h"

namespace tepal_plugin {
namespace {

class FailingModel : public Model {
 public:
  FailingModel(std::string how, std::string message)
      : how_(std::move(how)), message_(std::move(message)) {}

  void Execute(TRITONBACKEND_ModelInstance* /*instance*/, RequestBatch batch) override {
    Times times;
    for (size_t i = 0; i < batch.size(); ++i) {
      batch.FinishWithError(i, Internal(message_), times);
    }
  }

  const std::string& how() const { return how_; }
  const std::string& message() const { return message_; }

 private:
  const std::string how_, message_;
};

Error* Make(TRITONBACKEND_Model* /*model*/, ModelFacts facts, std::unique_ptr<Model>& made) {
  const std::string how = facts.Parameter("how", "response");
  if (how != "response" && how != "execute" && how != "throw") {
    return InvalidArgument("model '" + facts.name +
                           "': parameter 'how' must be response, execute or throw, got '" + how +
                           "'");
  }
  made = std::make_unique<FailingModel>(how, facts.Parameter("message", "model said no"));
  return nullptr;
}

}  // namespace
}  // namespace tepal_plugin

using namespace tepal_plugin;  // NOLINT

// Written out, because this backend must break the rules that TEPAL_PLUGIN keeps.
extern "C" {

TRITONSERVER_Error* TRITONBACKEND_Initialize(TRITONBACKEND_Backend*) { return CheckApiVersion(); }

TRITONSERVER_Error* TRITONBACKEND_ModelInitialize(TRITONBACKEND_Model* model) {
  return InitializeModel(model, Make);
}

TRITONSERVER_Error* TRITONBACKEND_ModelFinalize(TRITONBACKEND_Model* model) {
  return FinalizeModel(model);
}

TRITONSERVER_Error* TRITONBACKEND_ModelInstanceExecute(TRITONBACKEND_ModelInstance* instance,
                                                       TRITONBACKEND_Request** requests,
                                                       const uint32_t count) {
  TRITONBACKEND_Model* handle = nullptr;
  TEPAL_RETURN_IF_ERROR(TRITONBACKEND_ModelInstanceModel(instance, &handle));
  const auto& model = static_cast<const FailingModel&>(*ModelOf(handle));
  if (model.how() == "throw") throw std::runtime_error(model.message());
  if (model.how() == "execute") return Internal(model.message());
  return ExecuteModel(instance, requests, count);
}

}  // extern "C"
