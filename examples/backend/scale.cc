// A backend to start from: the output is the input times a factor, which is read from a file of the
// model. Copy this folder, rename what says `scale`, and replace Answer.
//
// The server makes one Model for each version of each model of this backend, asks it to Execute
// batches of requests, and deletes it as the version is unloaded. docs/backends.md has the rest.

#include <fstream>

#include "backends/sugar/plugin.h"

namespace tepal_plugin {
namespace {

class Scale : public Model {
 public:
  Scale(ModelFacts facts, float factor) : facts_(std::move(facts)), factor_(factor) {}

  // Several instances of a model execute at the same time, each on its own thread. Every request
  // must leave the batch with one answer: AnswerEach sees to that, whatever Answer returns.
  void Execute(TRITONBACKEND_ModelInstance* /*instance*/, RequestBatch batch) override {
    batch.AnswerEach(facts_.batches(), Times(), [&](Request request, Response& response) {
      return Answer(request, response);
    });
  }

 private:
  // An error here becomes the answer of this request alone. The server has checked names, types and
  // shapes against the configuration; the data may come in several pieces.
  Error* Answer(Request request, Response& response) const {
    Input input;
    TEPAL_RETURN_IF_ERROR(request.FindInput("X", input));
    std::vector<float> values(input.byte_size / sizeof(float));
    TEPAL_RETURN_IF_ERROR(input.CopyTo(reinterpret_cast<std::byte*>(values.data())));
    for (float& value : values) value *= factor_;

    std::byte* output = nullptr;  // Memory of the answer, as long as we say.
    TEPAL_RETURN_IF_ERROR(
        response.AddOutput("Y", input.type, input.shape, input.byte_size, output));
    std::memcpy(output, values.data(), input.byte_size);
    return nullptr;
  }

  const ModelFacts facts_;
  const float factor_;
};

// Reads what a model says and refuses what this backend cannot serve. Messages name the model, the
// field, what it says and what is expected: they reach the user as they are.
Error* Make(TRITONBACKEND_Model* /*model*/, ModelFacts facts, std::unique_ptr<Model>& made) {
  for (const char* field : {"input", "output"}) {
    for (const Json& tensor : facts.config[field].items()) {
      if (tensor["data_type"].text() == "TYPE_FP32") continue;
      return InvalidArgument("model '" + facts.name + "': " + field + " '" + tensor["name"].text() +
                             "' is " + tensor["data_type"].text() +
                             ", the backend scale takes TYPE_FP32");
    }
  }
  // A setting of the model, from `parameters` of its config.pbtxt.
  const std::string name = facts.Parameter("file", "factor.txt");
  const std::string path = facts.directory + "/" + std::to_string(facts.version) + "/" + name;
  float factor = 0;
  if (!(std::ifstream(path) >> factor)) {
    return InvalidArgument("model '" + facts.name + "': expected a number in '" + path + "'");
  }
  Log(TRITONSERVER_LOG_INFO, "model '" + facts.name + "' multiplies by " + std::to_string(factor));
  made = std::make_unique<Scale>(std::move(facts), factor);
  return nullptr;
}

}  // namespace
}  // namespace tepal_plugin

TEPAL_PLUGIN(tepal_plugin::Make)
