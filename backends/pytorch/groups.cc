#include "backends/pytorch/groups.h"

#include <algorithm>

namespace tepal_plugin {
namespace {

Error* ReadInputs(Request request, const std::string& model, const TorchSettings& settings,
                  std::vector<Input>& out) {
  bool cancelled = false;
  TEPAL_RETURN_IF_ERROR(TRITONBACKEND_RequestIsCancelled(request.handle(), &cancelled));
  if (cancelled) return Fail(TRITONSERVER_ERROR_CANCELLED, "the request was cancelled");
  for (const TensorSettings& declared : settings.inputs) {
    Input& input = out.emplace_back();
    TEPAL_RETURN_IF_ERROR(request.FindInput(declared.name.c_str(), input));
    if (input.type == declared.type) continue;
    return InvalidArgument("input '" + declared.name + "' is " +
                           TRITONSERVER_DataTypeString(input.type) + ", model '" + model +
                           "' takes " + TRITONSERVER_DataTypeString(declared.type));
  }
  return nullptr;
}

bool SameRows(std::span<const int64_t> a, std::span<const int64_t> b) {
  return !a.empty() && a.size() == b.size() && std::equal(a.begin() + 1, a.end(), b.begin() + 1);
}

bool Joins(const RequestGroup& group, const std::vector<Input>& inputs) {
  for (size_t k = 0; k < inputs.size(); ++k) {
    if (!SameRows(group.inputs[k].front().shape, inputs[k].shape)) return false;
  }
  return true;
}

}  // namespace

void ForEachGroup(RequestBatch& batch, const std::string& model, const TorchSettings& settings,
                  const std::function<void(RequestGroup&)>& run) {
  RequestGroup group;
  const auto close = [&](size_t next) {
    if (group.end > group.begin) run(group);
    group = RequestGroup();
    group.begin = group.end = next;
  };
  for (size_t i = 0; i < batch.size(); ++i) {
    std::vector<Input> inputs;
    if (Error* error = ReadInputs(batch[i], model, settings, inputs)) {
      close(i + 1);
      batch.FinishWithError(i, error, Times());
      continue;
    }
    const bool open = group.end > group.begin;
    if (open && !(settings.batches && Joins(group, inputs))) close(i);
    group.inputs.resize(inputs.size());
    for (size_t k = 0; k < inputs.size(); ++k) group.inputs[k].push_back(inputs[k]);
    const bool has_rows = settings.batches && !inputs[0].shape.empty();
    group.rows.push_back(has_rows ? inputs[0].shape[0] : 1);
    group.total_rows += group.rows.back();
    group.end = i + 1;
  }
  close(batch.size());
}

}  // namespace tepal_plugin
