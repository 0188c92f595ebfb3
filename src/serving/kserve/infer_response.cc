#include "serving/kserve/infer_response.h"

#include <type_traits>

#include "core/base/text.h"
#include "serving/kserve/byte_writer.h"
#include "serving/kserve/tensor_json.h"

namespace tepal::kserve {
namespace {

constexpr size_t kFrameBytesExpected = 256;   // Names, shapes and brackets of a small answer.
constexpr size_t kElementBytesExpected = 13;  // Of a number in JSON, with its comma.

void WriteParameters(ByteWriter& out, const std::vector<Parameter>& parameters) {
  out.Append(R"(,"parameters":{)");
  bool first = true;
  for (const Parameter& parameter : parameters) {
    if (!first) out.Append(',');
    first = false;
    out.AppendString(parameter.name);
    out.Append(':');
    std::visit(
        [&out](const auto& value) {
          using Value = std::decay_t<decltype(value)>;
          if constexpr (std::is_same_v<Value, bool>) {
            out.Append(value ? "true" : "false");
          } else if constexpr (std::is_same_v<Value, std::string>) {
            out.AppendString(value);
          } else if constexpr (std::is_same_v<Value, double>) {
            AppendNumber(out, value);
          } else {
            out.AppendInteger(value);
          }
        },
        parameter.value);
  }
  out.Append('}');
}

void WriteShape(ByteWriter& out, const Shape& shape) {
  out.Append(R"(,"shape":[)");
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i != 0) out.Append(',');
    out.AppendInteger(shape[i]);
  }
  out.Append(']');
}

void WriteOutputHead(ByteWriter& out, const OutputTensor& output) {
  out.Append(R"({"name":)");
  out.AppendString(output.name);
  out.Append(R"(,"datatype":")");
  out.Append(DataTypeName(output.type));
  out.Append('"');
  WriteShape(out, output.shape);
}

Status WriteOutput(ByteWriter& out, const OutputTensor& output, bool binary, BufferList& binaries) {
  WriteOutputHead(out, output);
  if (binary) {
    out.Append(R"(,"parameters":{"binary_data_size":)");
    out.AppendInteger(output.data.size());
    out.Append("}}");
    if (!output.data.empty()) binaries.push_back(output.data);
    return {};
  }
  out.Append(R"(,"data":)");
  const int64_t count = ElementCount(output.shape).value_or(-1);
  RETURN_IF_ERROR(
      WriteTensor(out, output.name, output.type, static_cast<size_t>(count), output.data.text()));
  out.Append('}');
  return {};
}

size_t ExpectedSize(const InferenceResponse& response) {
  size_t size = kFrameBytesExpected;
  for (const OutputTensor& output : response.outputs) {
    const size_t element = DataTypeSize(output.type);
    size += kFrameBytesExpected;
    size +=
        element == 0 ? output.data.size() : output.data.size() / element * kElementBytesExpected;
  }
  return size;
}

}  // namespace

Result<InferAnswer> WriteInferResponse(const InferenceResponse& response, const AnswerForm& form,
                                       bool batched, ClassLabels& labels) {
  ByteWriter out(form.binary ? kFrameBytesExpected : ExpectedSize(response));
  out.Append('{');
  if (!response.id.empty()) {
    out.Append(R"("id":)");
    out.AppendString(response.id);
    out.Append(',');
  }
  out.Append(R"("model_name":)");
  out.AppendString(response.model_name);
  out.Append(R"(,"model_version":")");
  out.AppendInteger(response.model_version);
  out.Append('"');
  if (!response.parameters.empty()) WriteParameters(out, response.parameters);

  out.Append(R"(,"outputs":[)");
  InferAnswer answer;
  answer.body.emplace_back();  // The JSON, once it is complete.
  bool first = true;
  for (const OutputTensor& output : response.outputs) {
    if (!first) out.Append(',');
    first = false;
    const AnswerForm::Output* wish = form.Find(output.name);
    const bool binary = wish == nullptr ? form.binary : wish->binary;
    if (wish != nullptr && wish->in_region) {
      WriteOutputHead(out, output);
      out.Append('}');
    } else if (wish != nullptr && wish->classes > 0) {
      ASSIGN_OR_RETURN(const OutputTensor classified,
                       Classify(output, wish->classes, batched, labels));
      RETURN_IF_ERROR(WriteOutput(out, classified, binary, answer.body));
    } else {
      RETURN_IF_ERROR(WriteOutput(out, output, binary, answer.body));
    }
  }
  out.Append("]}");
  answer.json_size = out.size();
  answer.body.front() = out.Take();
  answer.binary = answer.body.size() > 1;
  return answer;
}

}  // namespace tepal::kserve
