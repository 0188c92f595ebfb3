#include "backends/onnxruntime/complete.h"

#include <algorithm>

namespace tepal_plugin {
namespace {

std::string ConfigTypeName(TRITONSERVER_DataType type) {
  if (type == TRITONSERVER_TYPE_BYTES) return "TYPE_STRING";
  return std::string("TYPE_") + TRITONSERVER_DataTypeString(type);
}

bool FirstDimensionIsFree(const OrtTensorFacts& tensor) {
  return !tensor.dims.empty() && tensor.dims[0] == -1;
}

Json Tensors(const std::vector<OrtTensorFacts>& tensors, bool batches) {
  Json list = Json::Array();
  for (const OrtTensorFacts& tensor : tensors) {
    Json entry = Json::Object();
    entry.Set("name", Json::String(tensor.name));
    entry.Set("data_type", Json::String(ConfigTypeName(tensor.type)));
    Json dims = Json::Array();
    for (size_t i = batches ? 1 : 0; i < tensor.dims.size(); ++i) {
      dims.Append(Json::Number(tensor.dims[i]));
    }
    if (dims.items().empty()) {
      // `dims` may not be empty; the backend still gets and gives a scalar.
      dims.Append(Json::Number(1));
      Json reshape = Json::Object();
      reshape.Set("shape", Json::Array());
      entry.Set("reshape", std::move(reshape));
    }
    entry.Set("dims", std::move(dims));
    list.Append(std::move(entry));
  }
  return list;
}

std::string Names(const std::vector<OrtTensorFacts>& tensors) {
  std::string names;
  for (const OrtTensorFacts& tensor : tensors) {
    names += (names.empty() ? "" : ", ") + tensor.name;
  }
  return names;
}

// The shape that the file sees of a configured tensor.
std::vector<int64_t> WholeShape(const Json& entry, bool batches) {
  const Json& reshape = entry["reshape"]["shape"];
  const Json& dims = reshape.kind() == Json::Kind::kArray ? reshape : entry["dims"];
  std::vector<int64_t> shape;
  if (batches) shape.push_back(-1);
  for (const Json& length : dims.items()) shape.push_back(length.AsInt());
  return shape;
}

bool Fits(const std::vector<int64_t>& configured, const std::vector<int64_t>& declared) {
  if (configured.size() != declared.size()) return false;
  for (size_t i = 0; i < configured.size(); ++i) {
    if (configured[i] != declared[i] && configured[i] != -1 && declared[i] != -1) return false;
  }
  return true;
}

Error* CheckTensors(const std::string& model, const char* what,
                    const std::vector<OrtTensorFacts>& tensors, const Json& entries, bool batches) {
  for (const Json& entry : entries.items()) {
    const std::string& name = entry["name"].text();
    const auto found = std::find_if(tensors.begin(), tensors.end(),
                                    [&](const OrtTensorFacts& t) { return t.name == name; });
    const std::string subject = "model '" + model + "': " + what + " '" + name + "'";
    if (found == tensors.end()) {
      return InvalidArgument(subject + " is not in the ONNX file; it has " + Names(tensors));
    }
    const std::string type = ConfigTypeName(found->type);
    if (entry["data_type"].text() != type) {
      return InvalidArgument(subject + " has data_type " + entry["data_type"].text() +
                             " in the configuration, the ONNX file has " + type);
    }
    const std::vector<int64_t> shape = WholeShape(entry, batches);
    if (!Fits(shape, found->dims)) {
      return InvalidArgument(subject + " has shape " + ShapeText(shape) + " in the configuration" +
                             (batches ? " (the batch dimension first)" : "") +
                             ", the ONNX file has " + ShapeText(found->dims));
    }
  }
  return nullptr;
}

}  // namespace

Error* CompleteConfig(const std::string& model, const std::vector<OrtTensorFacts>& inputs,
                      const std::vector<OrtTensorFacts>& outputs, int64_t default_max_batch_size,
                      Json& config) {
  const bool no_inputs = config["input"].items().empty();
  const bool no_outputs = config["output"].items().empty();
  if (!no_inputs && !no_outputs) return nullptr;
  int64_t max_batch_size = config["max_batch_size"].AsInt();
  const bool can_batch = std::all_of(inputs.begin(), inputs.end(), FirstDimensionIsFree) &&
                         std::all_of(outputs.begin(), outputs.end(), FirstDimensionIsFree);
  if (!can_batch && max_batch_size > 0) {
    return InvalidArgument("autofill failed for model '" + model +
                           "': model does not support batching while non-zero max_batch_size is "
                           "specified");
  }
  if (can_batch && max_batch_size == 0) {
    max_batch_size = std::max<int64_t>(default_max_batch_size, 0);
    config.Set("max_batch_size", Json::Number(max_batch_size));
  }
  if (can_batch && max_batch_size > 1 && config["dynamic_batching"].kind() == Json::Kind::kNull &&
      config["sequence_batching"].kind() == Json::Kind::kNull) {
    config.Set("dynamic_batching", Json::Object());
  }
  if (no_inputs) config.Set("input", Tensors(inputs, max_batch_size > 0));
  if (no_outputs) config.Set("output", Tensors(outputs, max_batch_size > 0));
  return nullptr;
}

Error* CheckConfig(const std::string& model, const std::vector<OrtTensorFacts>& inputs,
                   const std::vector<OrtTensorFacts>& outputs, const Json& config) {
  const bool batches = config["max_batch_size"].AsInt() > 0;
  const size_t configured = config["input"].items().size();
  if (configured != inputs.size()) {
    return InvalidArgument("unable to load model '" + model + "', configuration expects " +
                           std::to_string(configured) + " inputs, model provides " +
                           std::to_string(inputs.size()));
  }
  if (config["output"].items().empty()) {
    return InvalidArgument("model '" + model + "': the configuration names no output");
  }
  TEPAL_RETURN_IF_ERROR(CheckTensors(model, "input", inputs, config["input"], batches));
  return CheckTensors(model, "output", outputs, config["output"], batches);
}

}  // namespace tepal_plugin
