#include "serving/kserve/generate.h"

#include <map>
#include <optional>
#include <string>

#include "core/base/text.h"
#include "serving/kserve/byte_writer.h"
#include "serving/kserve/free_parameter.h"
#include "serving/kserve/json_scanner.h"
#include "serving/kserve/tensor_json.h"

namespace tepal::kserve {
namespace {

// Like the reader of inference requests, it scans to the end of the text before it reports what the
// text means: a text that is no JSON is reported as such.
class GenerateReader {
 public:
  GenerateReader(std::string_view body, const ModelConfig& model, InferenceRequest& request)
      : scanner_(body), body_(body), model_(model), request_(request) {}

  Status Read();

 private:
  void ReadMembers(bool nested);
  Status ReadInput(const ModelInput& declared);
  Result<int64_t> CountElements();
  std::optional<Shape> ShapeFor(const ModelInput& declared, int64_t count) const;

  JsonScanner scanner_;
  const std::string_view body_;
  const ModelConfig& model_;
  InferenceRequest& request_;
  Status problem_;  // The first one.
};

Status GenerateReader::Read() {
  const bool is_object = scanner_.Peek() == '{';
  if (is_object) {
    ReadMembers(false);
  } else {
    scanner_.Skip();
  }
  if (!scanner_.End()) return scanner_.error();
  if (!is_object) return InvalidArgument("attempt to get members for non-object");
  return problem_;
}

void GenerateReader::ReadMembers(bool nested) {
  if (!scanner_.EnterObject()) return;
  std::string_view key;
  while (scanner_.NextMember(key)) {
    const std::string name(key);
    Status problem;
    const char c = scanner_.Peek();
    if (const ModelInput* declared = model_.FindInput(name); declared != nullptr) {
      problem = ReadInput(*declared);
    } else if (name == "id" && c == '"') {
      std::string_view id;
      scanner_.String(id);
      request_.id = id;
    } else if (name == "parameters" && c == '{' && !nested) {
      ReadMembers(true);
    } else {
      problem = ReadFreeParameter(scanner_, name, request_.parameters);
    }
    if (scanner_.failed()) return;
    if (problem_.ok()) problem_ = std::move(problem);
  }
}

// Leaves the scanner at the list's beginning.
Result<int64_t> GenerateReader::CountElements() {
  const JsonScanner::Mark begin = scanner_.Here();
  int64_t count = 0;
  if (!scanner_.EnterArray()) return scanner_.error();
  while (scanner_.NextElement()) {
    if (!scanner_.Skip()) return scanner_.error();
    ++count;
  }
  if (scanner_.failed()) return scanner_.error();
  scanner_.Return(begin);
  return count;
}

std::optional<Shape> GenerateReader::ShapeFor(const ModelInput& declared, int64_t count) const {
  Shape shape;
  if (model_.max_batch_size > 0) shape.push_back(1);
  std::optional<size_t> open;
  for (const int64_t length : declared.dims) {
    if (length < 0) open = shape.size();
    shape.push_back(length < 0 ? 1 : length);
  }
  const std::optional<int64_t> fixed = ElementCount(shape);
  if (!fixed.has_value()) return std::nullopt;
  if (open.has_value() && *fixed != 0 && count % *fixed == 0) {
    shape[*open] = count / *fixed;
  } else if (*fixed != count) {
    return std::nullopt;
  }
  return shape;
}

Status GenerateReader::ReadInput(const ModelInput& declared) {
  const JsonScanner::Mark begin = scanner_.Here();
  const size_t begin_offset = body_.size() - scanner_.bytes_left();
  const bool is_list = scanner_.Peek() == '[';
  int64_t count = 1;
  if (is_list) {
    ASSIGN_OR_RETURN(count, CountElements());
  }
  if (!scanner_.Skip()) return {};
  const JsonScanner::Mark end = scanner_.Here();
  const std::string_view text =
      body_.substr(begin_offset, body_.size() - scanner_.bytes_left() - begin_offset);

  std::optional<Shape> shape = ShapeFor(declared, count);
  if (!shape.has_value()) {
    return InvalidArgument(Concat("The schema can not convert input '", declared.name,
                                  "' to tensor with proper shape"));
  }
  InputTensor tensor;
  tensor.name = declared.name;
  tensor.type = declared.type;
  tensor.shape = *std::move(shape);
  if (is_list && count != 0) {
    scanner_.Return(begin);
    Result<Buffer> data = ReadTensor(scanner_, declared.name, declared.type, count);
    scanner_.Return(end);
    if (!data.ok()) return data.status();
    tensor.data.push_back(std::move(data).value());
  } else if (!is_list) {
    const std::string list = Concat("[", text, "]");
    JsonScanner single(list);
    ASSIGN_OR_RETURN(Buffer data, ReadTensor(single, declared.name, declared.type, 1));
    tensor.data.push_back(std::move(data));
  }
  request_.inputs.push_back(std::move(tensor));
  return {};
}

std::string Quoted(std::string_view text) {
  ByteWriter out(text.size() + 2);
  out.AppendString(text);
  return std::string(out.Take().text());
}

std::string ParameterText(const Parameter& parameter) {
  if (const auto* text = std::get_if<std::string>(&parameter.value)) return Quoted(*text);
  if (const auto* flag = std::get_if<bool>(&parameter.value)) return *flag ? "true" : "false";
  if (const auto* whole = std::get_if<int64_t>(&parameter.value)) return Concat(*whole);
  ByteWriter out(32);
  AppendNumber(out, std::get<double>(parameter.value));
  return std::string(out.Take().text());
}

Result<std::string> OutputText(const OutputTensor& output) {
  const int64_t count = ElementCount(output.shape).value_or(-1);
  ByteWriter out(output.data.size() + 2);
  RETURN_IF_ERROR(
      WriteTensor(out, output.name, output.type, static_cast<size_t>(count), output.data.text()));
  const Buffer list = out.Take();
  std::string_view text = list.text();
  if (count == 1) text = text.substr(1, text.size() - 2);
  return std::string(text);
}

}  // namespace

Status ReadGenerateRequest(std::string_view body, const ModelConfig& model,
                           InferenceRequest& request) {
  return GenerateReader(body, model, request).Read();
}

Result<Buffer> WriteGenerateResponse(const InferenceResponse& response) {
  std::map<std::string_view, std::string> members;
  for (const Parameter& parameter : response.parameters) {
    members[parameter.name] = ParameterText(parameter);
  }
  if (!response.id.empty()) members["id"] = Quoted(response.id);
  members["model_name"] = Quoted(response.model_name);
  members["model_version"] = Concat("\"", response.model_version, "\"");
  for (const OutputTensor& output : response.outputs) {
    ASSIGN_OR_RETURN(members[output.name], OutputText(output));
  }
  ByteWriter out(256);
  char separator = '{';
  for (const auto& [name, text] : members) {
    out.Append(separator);
    out.AppendString(name);
    out.Append(':');
    out.Append(text);
    separator = ',';
  }
  out.Append('}');
  return out.Take();
}

}  // namespace tepal::kserve
