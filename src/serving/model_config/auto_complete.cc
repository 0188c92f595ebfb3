#include "serving/model_config/auto_complete.h"

#include <algorithm>

#include "core/base/text.h"
#include "core/proto/model_config.pb.h"

namespace tepal {
namespace {

using Tensor = ModelReport::Tensor;

template <typename Declared>
Shape DimsOf(const Declared& declared) {
  return Shape(declared.dims().begin(), declared.dims().end());
}

bool LeadsWithAnyLength(const Tensor& tensor) {
  return !tensor.shape.empty() && tensor.shape[0] == -1;
}

template <typename Declared>
const Tensor* FindTensor(const std::vector<Tensor>& tensors, const Declared& declared) {
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const Tensor& t) { return t.name == declared.name(); });
  return found == tensors.end() ? nullptr : &*found;
}

// Whether some tensor's dims are written out in full, batch dimension included: then whoever wrote
// them wants no batching by the server.
template <typename DeclaredList>
bool DeclaresFullRank(const DeclaredList& list, const std::vector<Tensor>& tensors) {
  return std::any_of(list.begin(), list.end(), [&](const auto& declared) {
    const Tensor* tensor = FindTensor(tensors, declared);
    return tensor != nullptr && !tensor->shape.empty() &&
           static_cast<size_t>(declared.dims_size()) == tensor->shape.size();
  });
}

Status CompleteBatching(inference::ModelConfig& config, const ModelReport& report,
                        int32_t default_max_batch_size) {
  const bool can_batch = CanBatch(report);
  if (config.max_batch_size() > 0 && !can_batch) {
    return InvalidArgument(
        Concat("autofill failed for model '", config.name(),
               "': model does not support batching while non-zero max_batch_size is specified"));
  }
  if (config.max_batch_size() != 0 || !can_batch || default_max_batch_size < 1) return {};
  if (DeclaresFullRank(config.input(), report.inputs) ||
      DeclaresFullRank(config.output(), report.outputs)) {
    return {};
  }
  config.set_max_batch_size(default_max_batch_size);
  const bool chosen =
      config.scheduling_choice_case() != inference::ModelConfig::SCHEDULING_CHOICE_NOT_SET;
  if (!chosen && default_max_batch_size > 1) config.mutable_dynamic_batching();
  return {};
}

std::string NamesOf(const std::vector<Tensor>& tensors) {
  std::string names;
  for (const Tensor& tensor : tensors) names += Concat(names.empty() ? "" : ", ", tensor.name);
  return names;
}

// Fills what `declared` leaves out from `tensor` and compares the rest.
template <typename Declared>
Status Complete(Declared& declared, const Tensor& tensor, const inference::ModelConfig& config) {
  const auto type = static_cast<inference::DataType>(tensor.type);
  if (declared.data_type() == inference::TYPE_INVALID) declared.set_data_type(type);
  if (declared.data_type() != type) {
    return InvalidArgument(Concat("model '", config.name(), "', tensor '", tensor.name,
                                  "': the model has data type ", DataTypeName(tensor.type),
                                  " but the model configuration specifies ",
                                  inference::DataType_Name(declared.data_type())));
  }
  Shape expected = tensor.shape;
  if (config.max_batch_size() > 0) expected.erase(expected.begin());
  if (declared.dims().empty()) {
    // A scalar per request: the protocol has no empty dims, so one element and a reshape.
    if (expected.empty()) {
      declared.add_dims(1);
      declared.mutable_reshape();
    }
    for (const int64_t length : expected) declared.add_dims(length);
    return {};
  }
  Shape seen = DimsOf(declared);
  if (declared.has_reshape()) {
    seen = Shape(declared.reshape().shape().begin(), declared.reshape().shape().end());
  }
  bool fits = seen.size() == expected.size();
  for (size_t i = 0; fits && i < seen.size(); ++i) {
    fits = seen[i] == expected[i] || expected[i] == -1;
  }
  if (fits) return {};
  if (config.max_batch_size() > 0) seen.insert(seen.begin(), -1);
  return InvalidArgument(
      Concat("model '", config.name(), "', tensor '", tensor.name, "': the model expects ",
             tensor.shape.size(), " dimensions (shape ", ShapeText(tensor.shape),
             ") but the model configuration specifies ", seen.size(), " dimensions (",
             config.max_batch_size() > 0
                 ? "an initial batch dimension because max_batch_size > 0 followed by the explicit "
                   "tensor shape, making complete shape "
                 : "shape ",
             ShapeText(seen), ")"));
}

template <typename DeclaredList>
Status CompleteTensors(DeclaredList& list, const std::vector<Tensor>& tensors,
                       std::string_view what, const inference::ModelConfig& config) {
  for (auto& declared : list) {
    const Tensor* tensor = FindTensor(tensors, declared);
    if (tensor == nullptr) {
      return InvalidArgument(Concat("unexpected inference ", what, " '", declared.name(),
                                    "', allowed ", what, "s are: ", NamesOf(tensors),
                                    " for model '", config.name(), "'"));
    }
    RETURN_IF_ERROR(Complete(declared, *tensor, config));
  }
  return {};
}

template <typename DeclaredList>
bool Names(const DeclaredList& list, const std::string& name) {
  return std::any_of(list.begin(), list.end(),
                     [&](const auto& declared) { return declared.name() == name; });
}

}  // namespace

bool CanBatch(const ModelReport& report) {
  return !report.inputs.empty() && !report.outputs.empty() &&
         std::all_of(report.inputs.begin(), report.inputs.end(), LeadsWithAnyLength) &&
         std::all_of(report.outputs.begin(), report.outputs.end(), LeadsWithAnyLength);
}

Status AutoComplete(ConfigDraft& draft, const ModelReport& report, int32_t default_max_batch_size) {
  inference::ModelConfig& config = draft.message();
  RETURN_IF_ERROR(CompleteBatching(config, report, default_max_batch_size));
  for (const Tensor& tensor : report.inputs) {
    if (Names(config.input(), tensor.name)) continue;
    auto& added = *config.add_input();
    added.set_name(tensor.name);
    added.set_optional(tensor.optional);
  }
  // A configuration may serve only some of the outputs; one without any serves all.
  if (config.output().empty()) {
    for (const Tensor& tensor : report.outputs) config.add_output()->set_name(tensor.name);
  }
  RETURN_IF_ERROR(CompleteTensors(*config.mutable_input(), report.inputs, "input", config));
  return CompleteTensors(*config.mutable_output(), report.outputs, "output", config);
}

}  // namespace tepal
