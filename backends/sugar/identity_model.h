// A model whose n-th output is a copy of its n-th input: the core of the test backends.

#pragma once

#include <string>
#include <vector>

#include "backends/sugar/plugin.h"

namespace tepal_plugin {

class IdentityModel : public Model {
 public:
  // An error when inputs and outputs do not pair up.
  static Error* Check(const ModelFacts& facts) {
    const auto& inputs = facts.config["input"].items();
    const auto& outputs = facts.config["output"].items();
    if (inputs.size() != outputs.size() || inputs.empty()) {
      return InvalidArgument("model '" + facts.name + "': needs as many outputs as inputs, got " +
                             std::to_string(inputs.size()) + " inputs and " +
                             std::to_string(outputs.size()) + " outputs");
    }
    return nullptr;
  }

  explicit IdentityModel(ModelFacts facts) : facts_(std::move(facts)) {
    for (const Json& input : facts_.config["input"].items()) {
      inputs_.push_back(input["name"].text());
    }
    for (const Json& output : facts_.config["output"].items()) {
      outputs_.push_back(output["name"].text());
    }
  }

  void Execute(TRITONBACKEND_ModelInstance* /*instance*/, RequestBatch batch) override {
    batch.AnswerEach(facts_.batches(), Times(),
                     [&](Request request, Response& response) { return Copy(request, response); });
  }

 protected:
  Error* Copy(Request request, Response& response) const {
    const uint32_t count = request.OutputCount();
    for (uint32_t i = 0; i < count; ++i) {
      const char* output = nullptr;
      TEPAL_RETURN_IF_ERROR(request.OutputName(i, output));
      const std::string* source = InputOf(output);
      if (source == nullptr) {
        return InvalidArgument("model '" + facts_.name + "' has no output '" + output + "'");
      }
      Input input;
      TEPAL_RETURN_IF_ERROR(request.FindInput(source->c_str(), input));
      std::byte* data = nullptr;
      TEPAL_RETURN_IF_ERROR(
          response.AddOutput(output, input.type, input.shape, input.byte_size, data));
      TEPAL_RETURN_IF_ERROR(input.CopyTo(data));
    }
    return nullptr;
  }

  const ModelFacts& facts() const { return facts_; }

 private:
  const std::string* InputOf(std::string_view output) const {
    for (size_t i = 0; i < outputs_.size(); ++i) {
      if (outputs_[i] == output) return &inputs_[i];
    }
    return nullptr;
  }

  ModelFacts facts_;
  std::vector<std::string> inputs_, outputs_;
};

}  // namespace tepal_plugin
