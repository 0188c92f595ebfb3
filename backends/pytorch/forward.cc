#include "backends/pytorch/loaded_module.h"
#include "backends/pytorch/torch_types.h"

namespace tepal_plugin {
namespace {

Error* TensorOf(const c10::IValue& value, const std::string& subject, at::Tensor& out) {
  if (value.isTensor()) {
    out = value.toTensor();
    return nullptr;
  }
  return Internal(subject + " is a " + value.tagKind() + ", expected a tensor");
}

}  // namespace

Error* ForwardCall::Prepare(const std::string& model) {
  TEPAL_RETURN_IF_ERROR(PlaceInputs(model, settings_.inputs, module_.arguments, input_places_));
  return PlaceOutputs(model, settings_.outputs, output_places_);
}

Error* ForwardCall::Run(const std::vector<at::Tensor>& inputs,
                        std::vector<at::Tensor>& outputs) const {
  std::vector<c10::IValue> arguments(inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) arguments[input_places_[i]] = inputs[i];
  const c10::IValue result = module_.module.forward(std::move(arguments));
  for (size_t i = 0; i < settings_.outputs.size(); ++i) {
    at::Tensor tensor;
    TEPAL_RETURN_IF_ERROR(Result(result, i, tensor));
    outputs.push_back(std::move(tensor));
  }
  return nullptr;
}

Error* ForwardCall::Result(const c10::IValue& result, size_t output, at::Tensor& out) const {
  const TensorSettings& wanted = settings_.outputs[output];
  const std::string subject = subject_ + "output '" + wanted.name + "'";
  const size_t place = output_places_[output];
  size_t count = 1;
  if (result.isGenericDict()) {
    const auto dictionary = result.toGenericDict();
    const auto found = dictionary.find(wanted.name);
    if (found != dictionary.end()) {
      TEPAL_RETURN_IF_ERROR(TensorOf(found->value(), subject, out));
      return CheckResult(subject, wanted, out);
    }
    return InvalidArgument(subject + " is not a key of the dictionary that forward returns");
  }
  if (result.isTuple()) {
    const auto tuple = result.toTuple();
    count = tuple->elements().size();
    if (place < count) {
      TEPAL_RETURN_IF_ERROR(TensorOf(tuple->elements()[place], subject, out));
    }
  } else if (result.isTensorList()) {
    const auto list = result.toTensorVector();
    count = list.size();
    if (place < count) out = list[place];
  } else if (place == 0) {
    TEPAL_RETURN_IF_ERROR(TensorOf(result, subject, out));
  }
  if (place >= count) {
    return InvalidArgument(subject + " is result " + std::to_string(place) + ", forward returns " +
                           std::to_string(count));
  }
  return CheckResult(subject, wanted, out);
}

Error* ForwardCall::CheckResult(const std::string& subject, const TensorSettings& wanted,
                                const at::Tensor& got) const {
  if (DataTypeOf(got.scalar_type()) == wanted.type) return nullptr;
  return InvalidArgument(subject + " is " + c10::toString(got.scalar_type()) +
                         ", the configuration says " + TRITONSERVER_DataTypeString(wanted.type));
}

}  // namespace tepal_plugin
