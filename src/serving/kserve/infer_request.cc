#include "serving/kserve/infer_request.h"

#include <algorithm>
#include <charconv>
#include <unordered_set>

#include "core/base/text.h"
#include "serving/kserve/json_scanner.h"
#include "serving/kserve/raw_request.h"
#include "serving/kserve/tensor_json.h"

namespace tepal::kserve {
namespace {

Status Unparsable(std::string_view field, std::string_view why) {
  return InvalidArgument(Concat("Unable to parse '", field, "': ", why));
}

Status NotA(std::string_view field, std::string_view what) {
  return Unparsable(field, Concat("attempt to access JSON non-", what, " as ", what));
}

Status NoMember(std::string_view field) {
  return Unparsable(field, Concat("attempt to access non-existing object member '", field, "'"));
}

// One input as far as its JSON object says.
struct InputText {
  std::string name;
  DataType type = DataType::kInvalid;
  Shape shape;
  std::optional<uint64_t> binary_size;
  std::optional<JsonScanner::Mark> data_at;
  std::optional<Result<Buffer>> data;  // Read where it stood, when type and shape came before it.
  bool has_name = false, has_type = false, has_shape = false, has_region = false;
};

class RequestReader {
 public:
  RequestReader(const Buffer& body, size_t json_size, const ModelConfig& model,
                InferenceRequest& request, AnswerForm& form)
      : body_(body),
        binary_at_(json_size),
        scanner_(body.text().substr(0, json_size)),
        model_(model),
        request_(request),
        form_(form) {}

  Status Read();

 private:
  // What is wrong with the meaning of the text; the scan goes on, because a text that is no JSON is
  // reported as such before anything else is.
  void Note(Status& where, Status problem) {
    if (where.ok()) where = std::move(problem);
  }

  void ReadId();
  void ReadParameters();
  void ReadParameter(std::string_view name);
  void ReadFreeParameter(std::string_view name);
  void ReadInputs();
  Status ReadInput(InputText& input);
  void ReadInputParameters(InputText& input, Status& problem);
  void ReadShape(InputText& input, Status& problem);
  void ReadData(InputText& input);
  Status FinishInput(InputText& input);
  Status TakeBinary(InputTensor& tensor, uint64_t size);
  Status CheckDuplicates() const;
  void ReadOutputs();
  Status ReadOutput();
  void ReadOutputParameters(AnswerForm::Output& output, Status& problem);

  // The value of a member, or why it is not of that kind; what is not is skipped.
  Status TakeString(std::string_view field, std::string_view& value);
  Status TakeBool(std::string_view field, bool& value);
  Status TakeUnsigned(std::string_view field, uint64_t& value);

  const Buffer& body_;
  size_t binary_at_;  // Where the next binary tensor begins.
  JsonScanner scanner_;
  const ModelConfig& model_;
  InferenceRequest& request_;
  AnswerForm& form_;
  bool has_inputs_ = false;
  // In the order in which Triton looks.
  Status id_problem_, parameter_problem_, input_problem_, output_problem_;
};

Status RequestReader::TakeString(std::string_view field, std::string_view& value) {
  if (scanner_.Peek() == '"') {
    scanner_.String(value);
    return {};
  }
  scanner_.Skip();
  return NotA(field, "string");
}

Status RequestReader::TakeBool(std::string_view field, bool& value) {
  const char c = scanner_.Peek();
  if (c == 't' || c == 'f') {
    scanner_.Bool(value);
    return {};
  }
  scanner_.Skip();
  return NotA(field, "boolean");
}

Status RequestReader::TakeUnsigned(std::string_view field, uint64_t& value) {
  JsonNumber number;
  if (!JsonScanner::StartsNumber(scanner_.Peek())) {
    scanner_.Skip();
    return NotA(field, "unsigned-integer");
  }
  scanner_.Number(number);
  if (number.kind != JsonNumber::Kind::kUnsigned) return NotA(field, "unsigned-integer");
  value = number.magnitude;
  return {};
}

Status RequestReader::Read() {
  if (scanner_.Peek() != '{') {
    if (scanner_.Skip()) scanner_.End();
    if (scanner_.failed()) return scanner_.error();
    return NoMember("inputs");
  }
  scanner_.EnterObject();
  std::string_view key;
  while (scanner_.NextMember(key)) {
    if (key == "id") {
      ReadId();
    } else if (key == "inputs") {
      ReadInputs();
    } else if (key == "outputs") {
      ReadOutputs();
    } else if (key == "parameters") {
      ReadParameters();
    } else {
      scanner_.Skip();
    }
  }
  if (!scanner_.End()) return scanner_.error();
  RETURN_IF_ERROR(std::move(id_problem_));
  RETURN_IF_ERROR(std::move(parameter_problem_));
  if (!has_inputs_) return NoMember("inputs");
  RETURN_IF_ERROR(std::move(input_problem_));
  RETURN_IF_ERROR(CheckDuplicates());
  if (binary_at_ != body_.size()) {
    return InvalidArgument(
        Concat("unexpected additional input data for model '", model_.name, "'"));
  }
  RETURN_IF_ERROR(std::move(output_problem_));
  // What is requested is a set: outputs come back in the order of their names, each once.
  std::vector<std::string>& outputs = request_.requested_outputs;
  std::sort(outputs.begin(), outputs.end());
  outputs.erase(std::unique(outputs.begin(), outputs.end()), outputs.end());
  return {};
}

void RequestReader::ReadId() {
  std::string_view id;
  Note(id_problem_, TakeString("id", id));
  request_.id = id;
}

void RequestReader::ReadParameters() {
  if (scanner_.Peek() != '{') {
    scanner_.Skip();
    Note(parameter_problem_,
         InvalidArgument("failed to get request params.: attempt to get members "
                         "for non-object"));
    return;
  }
  if (!scanner_.EnterObject()) return;
  std::string_view key;
  while (scanner_.NextMember(key)) ReadParameter(key);
}

void RequestReader::ReadParameter(std::string_view name) {
  std::string_view text;
  Status problem;
  if (name == "sequence_id") {
    if (scanner_.Peek() == '"') {
      scanner_.String(text);
      request_.correlation_text = text;
    } else if (problem = TakeUnsigned(name, request_.correlation_id); !problem.ok()) {
      problem = NotA("sequence_id", "string");
    }
  } else if (name == "sequence_start") {
    problem = TakeBool("sequence_start", request_.sequence_start);
  } else if (name == "sequence_end") {
    problem = TakeBool("sequence_end", request_.sequence_end);
  } else if (name == "priority") {
    problem = TakeUnsigned("priority", request_.priority);
  } else if (name == "timeout") {
    problem = TakeUnsigned("timeout", request_.timeout_us);
  } else if (name == "binary_data_output") {
    problem = TakeBool("binary_data_output", form_.binary);
  } else if (name.starts_with("triton_")) {
    scanner_.Skip();
    problem = InvalidArgument(
        "parameter keys starting with 'triton_' are reserved for Triton usage and should not be "
        "specified.");
  } else {
    ReadFreeParameter(name);
  }
  Note(parameter_problem_, std::move(problem));
}

void RequestReader::ReadFreeParameter(std::string_view name) {
  Parameter parameter{std::string(name), false};
  const char c = scanner_.Peek();
  if (c == '"') {
    std::string_view text;
    scanner_.String(text);
    parameter.value = std::string(text);
  } else if (c == 't' || c == 'f') {
    scanner_.Bool(std::get<bool>(parameter.value));
  } else if (JsonScanner::StartsNumber(c)) {
    JsonNumber number;
    scanner_.Number(number);
    if (number.kind == JsonNumber::Kind::kReal || number.magnitude >> 63 != 0) {
      parameter.value = number.value;
    } else {
      const auto magnitude = static_cast<int64_t>(number.magnitude);
      parameter.value = number.kind == JsonNumber::Kind::kNegative ? -magnitude : magnitude;
    }
  } else {
    scanner_.Skip();
    Note(parameter_problem_,
         InvalidArgument(Concat("parameter '", parameter.name,
                                "' has invalid type. It should be either 'int', 'bool', or "
                                "'string'.")));
    return;
  }
  request_.parameters.push_back(std::move(parameter));
}

void RequestReader::ReadInputs() {
  has_inputs_ = true;
  if (scanner_.Peek() != '[') {
    scanner_.Skip();
    Note(input_problem_, NotA("inputs", "array"));
    return;
  }
  if (!scanner_.EnterArray()) return;
  while (scanner_.NextElement()) {
    if (scanner_.Peek() != '{') {
      scanner_.Skip();
      Note(input_problem_, NotA("inputs", "object"));
      continue;
    }
    InputText input;
    Note(input_problem_, ReadInput(input));
  }
}

Status RequestReader::ReadInput(InputText& input) {
  Status problem;
  if (!scanner_.EnterObject()) return {};
  std::string_view key, text;
  while (scanner_.NextMember(key)) {
    if (key == "name") {
      input.has_name = true;
      Note(problem, TakeString("name", text));
      input.name = text;
    } else if (key == "datatype") {
      input.has_type = true;
      Note(problem, TakeString("datatype", text));
      // Only the protocol's own names: "TYPE_FP32" is the configuration's.
      if (!text.starts_with("TYPE_")) {
        input.type = DataTypeFromName(text).value_or(DataType::kInvalid);
      }
    } else if (key == "shape") {
      ReadShape(input, problem);
    } else if (key == "data") {
      ReadData(input);
    } else if (key == "parameters") {
      ReadInputParameters(input, problem);
    } else {
      scanner_.Skip();
    }
    text = {};
  }
  if (scanner_.failed() || !problem.ok()) return problem;
  return FinishInput(input);
}

void RequestReader::ReadShape(InputText& input, Status& problem) {
  input.has_shape = true;
  if (scanner_.Peek() != '[') {
    scanner_.Skip();
    Note(problem, NotA("shape", "array"));
    return;
  }
  if (!scanner_.EnterArray()) return;
  while (scanner_.NextElement()) {
    uint64_t length = 0;
    Note(problem, TakeUnsigned("shape", length));
    if (length >> 63 != 0) {
      Note(problem, Unparsable("shape", Concat("dimension ", length, " is too large")));
      continue;
    }
    input.shape.push_back(static_cast<int64_t>(length));
  }
}

void RequestReader::ReadData(InputText& input) {
  scanner_.Peek();
  input.data_at = scanner_.Here();
  const std::optional<int64_t> count = ElementCount(input.shape);
  if (input.has_name && input.has_type && input.has_shape && count.has_value() && *count != 0) {
    input.data = ReadTensor(scanner_, input.name, input.type, *count);
    if (input.data->ok() || scanner_.failed()) return;
    scanner_.Return(*input.data_at);
  }
  scanner_.Skip();
}

void RequestReader::ReadInputParameters(InputText& input, Status& problem) {
  if (scanner_.Peek() != '{') {
    scanner_.Skip();
    return;
  }
  if (!scanner_.EnterObject()) return;
  std::string_view key;
  while (scanner_.NextMember(key)) {
    if (key == "binary_data_size") {
      uint64_t size = 0;
      Note(problem, TakeUnsigned("binary_data_size", size));
      input.binary_size = size;
    } else {
      if (key == "shared_memory_region") input.has_region = true;
      scanner_.Skip();
    }
  }
}

Status RequestReader::FinishInput(InputText& input) {
  const bool has_data = input.data_at.has_value(), has_binary = input.binary_size.has_value();
  if (has_data + has_binary + input.has_region != 1) {
    std::string problem =
        "Input must set only one of the following fields: 'data', 'binary_data_size' in "
        "'parameters', 'shared_memory_region' in 'parameters'. But";
    const bool none = !has_data && !has_binary && !input.has_region;
    problem += none ? " no field is set" : " set";
    if (has_data) problem += " 'data'";
    if (has_binary) problem += " 'binary_data_size'";
    if (input.has_region) problem += " 'shared_memory_region'";
    return InvalidArgument(std::move(problem));
  }
  if (!input.has_name) return NoMember("name");
  if (!input.has_type) return NoMember("datatype");
  if (!input.has_shape) return NoMember("shape");
  if (input.has_region) {
    return Unimplemented(Concat("shared memory is not supported yet: input '", input.name, "'"));
  }

  InputTensor tensor;
  tensor.name = std::move(input.name);
  tensor.type = input.type;
  tensor.shape = std::move(input.shape);
  if (has_binary) {
    RETURN_IF_ERROR(TakeBinary(tensor, *input.binary_size));
  } else if (const auto count = ElementCount(tensor.shape); count.has_value() && *count != 0) {
    if (!input.data.has_value()) {
      const JsonScanner::Mark here = scanner_.Here();
      scanner_.Return(*input.data_at);
      input.data = ReadTensor(scanner_, tensor.name, tensor.type, *count);
      scanner_.Return(here);
    }
    ASSIGN_OR_RETURN(Buffer data, std::move(*input.data));
    if (!data.empty()) tensor.data.push_back(std::move(data));
  }
  request_.inputs.push_back(std::move(tensor));
  return {};
}

Status RequestReader::TakeBinary(InputTensor& tensor, uint64_t size) {
  const uint64_t left = body_.size() - binary_at_;
  if (size > left) {
    return InvalidArgument(Concat("unexpected size for input '", tensor.name, "', expecting ",
                                  size - left, " additional bytes for model '", model_.name, "'"));
  }
  if (size != 0) tensor.data.push_back(body_.Slice(binary_at_, size));
  binary_at_ += size;
  return {};
}

Status RequestReader::CheckDuplicates() const {
  constexpr size_t kComparedMax = 16;  // Above, comparing each with each costs more than a set.
  const std::vector<InputTensor>& inputs = request_.inputs;
  const InputTensor* twice = nullptr;
  if (inputs.size() <= kComparedMax) {
    for (size_t i = 1; i < inputs.size() && twice == nullptr; ++i) {
      for (size_t j = 0; j < i; ++j) {
        if (inputs[i].name == inputs[j].name) twice = &inputs[i];
      }
    }
  } else {
    std::unordered_set<std::string_view> names;
    for (const InputTensor& input : inputs) {
      if (!names.insert(input.name).second && twice == nullptr) twice = &input;
    }
  }
  if (twice == nullptr) return {};
  return InvalidArgument(
      Concat(RequestIdPrefix(request_), "input '", twice->name, "' already exists in request"));
}

void RequestReader::ReadOutputs() {
  if (scanner_.Peek() != '[') {
    scanner_.Skip();
    Note(output_problem_, NotA("outputs", "array"));
    return;
  }
  if (!scanner_.EnterArray()) return;
  while (scanner_.NextElement()) {
    if (scanner_.Peek() != '{') {
      scanner_.Skip();
      Note(output_problem_, NotA("outputs", "object"));
      continue;
    }
    Note(output_problem_, ReadOutput());
  }
}

Status RequestReader::ReadOutput() {
  Status problem;
  AnswerForm::Output output;
  bool has_name = false;
  if (!scanner_.EnterObject()) return {};
  std::string_view key, text;
  while (scanner_.NextMember(key)) {
    if (key == "name") {
      has_name = true;
      Note(problem, TakeString("name", text));
      output.name = text;
    } else if (key == "parameters" && scanner_.Peek() == '{') {
      ReadOutputParameters(output, problem);
    } else {
      scanner_.Skip();
    }
    text = {};
  }
  if (scanner_.failed() || !problem.ok()) return problem;
  if (!has_name) return NoMember("name");
  request_.requested_outputs.push_back(output.name);
  form_.outputs.push_back(std::move(output));
  return {};
}

void RequestReader::ReadOutputParameters(AnswerForm::Output& output, Status& problem) {
  if (!scanner_.EnterObject()) return;
  std::string_view key;
  while (scanner_.NextMember(key)) {
    if (key == "binary_data") {
      Note(problem, TakeBool("binary_data", output.binary));
    } else if (key == "classification") {
      if (!TakeUnsigned("classification", output.classes).ok()) {
        Note(problem, InvalidArgument("Unable to set 'classification': attempt to access JSON "
                                      "non-unsigned-integer as unsigned-integer"));
      }
    } else {
      if (key == "shared_memory_region") {
        Note(problem, Unimplemented("shared memory is not supported yet: outputs"));
      }
      scanner_.Skip();
    }
  }
}

}  // namespace

const AnswerForm::Output* AnswerForm::Find(std::string_view name) const {
  for (const Output& output : outputs) {
    if (output.name == name) return &output;
  }
  return nullptr;
}

Result<size_t> JsonSize(std::optional<std::string_view> header, size_t body_size) {
  if (!header.has_value()) return body_size;
  int64_t size = 0;
  const std::string_view text = Trim(*header);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
  if (error == std::errc::result_out_of_range || size < 0 ||
      static_cast<uint64_t>(size) > body_size) {
    return InvalidArgument(
        Concat("inference header size should be in range (0, ", body_size, "), got: ", *header));
  }
  return static_cast<size_t>(size);
}

Status ReadInferRequest(const Buffer& body, size_t json_size, const ModelConfig& model,
                        InferenceRequest& request, AnswerForm& form) {
  if (json_size == 0) {
    form.binary = true;
    return ReadRawRequest(body, model, request);
  }
  return RequestReader(body, json_size, model, request, form).Read();
}

}  // namespace tepal::kserve
