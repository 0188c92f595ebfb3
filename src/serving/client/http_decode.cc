#include <utility>

#include "core/base/text.h"
#include "core/json/value.h"
#include "serving/client/http_codec.h"
#include "serving/kserve/tensor_json.h"

namespace tepal::client {
namespace {

constexpr size_t kErrorTextMax = 200;

Result<json::Value> ParseBody(const net::HttpClient::Response& response) {
  RETURN_IF_ERROR(CheckAnswer(response));
  return json::Parse(response.body.text()).WithContext("reading the server's answer");
}

std::string TextOf(const json::Value& object, std::string_view key) {
  const json::Value* member = object.Find(key);
  const std::string* text = member == nullptr ? nullptr : member->AsString();
  return text == nullptr ? "" : *text;
}

uint64_t CountOf(const json::Value& object, std::string_view key) {
  const json::Value* member = object.Find(key);
  if (member == nullptr) return 0;
  if (const uint64_t* large = member->AsUint()) return *large;
  const int64_t* number = member->AsInt();
  return number == nullptr || *number < 0 ? 0 : static_cast<uint64_t>(*number);
}

const json::Value::Array* ArrayOf(const json::Value& object, std::string_view key) {
  const json::Value* member = object.Find(key);
  return member == nullptr ? nullptr : member->AsArray();
}

Shape ShapeOf(const json::Value& tensor) {
  Shape shape;
  const json::Value::Array* dimensions = ArrayOf(tensor, "shape");
  if (dimensions == nullptr) return shape;
  for (const json::Value& dimension : *dimensions) {
    // Some servers write dimensions as text.
    if (const int64_t* number = dimension.AsInt()) shape.push_back(*number);
    if (const std::string* text = dimension.AsString()) {
      shape.push_back(ParseNumber<int64_t>(*text).value_or(-1));
    }
  }
  return shape;
}

Result<std::vector<TensorDeclaration>> TensorsOf(const json::Value& metadata,
                                                 std::string_view key) {
  std::vector<TensorDeclaration> tensors;
  const json::Value::Array* list = ArrayOf(metadata, key);
  if (list == nullptr) return Internal(Concat("the model's metadata has no '", key, "' array"));
  for (const json::Value& entry : *list) {
    const std::string datatype = TextOf(entry, "datatype");
    const auto type = DataTypeFromName(datatype);
    if (!type) return Internal(Concat("the model's metadata has datatype '", datatype, "'"));
    tensors.push_back({TextOf(entry, "name"), *type, ShapeOf(entry)});
  }
  return tensors;
}

ModelStatistics::Total TotalOf(const json::Value& statistics, std::string_view key) {
  const json::Value* total = statistics.Find(key);
  if (total == nullptr) return {};
  return {CountOf(*total, "count"), CountOf(*total, "ns")};
}

void Add(ModelStatistics::Total& sum, const ModelStatistics::Total& one) {
  sum.count += one.count;
  sum.ns += one.ns;
}

// Goes to the array of tensors in JSON: scanner.NextElement() then goes to each.
bool FindOutputs(kserve::JsonScanner& scanner) {
  if (scanner.Peek() != '{' || !scanner.EnterObject()) return false;
  std::string_view key;
  while (scanner.NextMember(key)) {
    if (key == "outputs" && scanner.Peek() == '[') return scanner.EnterArray();
    if (!scanner.Skip()) return false;
  }
  return false;
}

// Of an output object, its "data" as a tensor's bytes; nothing when there is none.
Result<Buffer> ReadData(kserve::JsonScanner& scanner, const InferOutput& output) {
  Buffer data;
  if (scanner.Peek() != '{' || !scanner.EnterObject()) return Internal("an output is no object");
  std::string_view key;
  while (scanner.NextMember(key)) {
    if (key == "data" && scanner.Peek() == '[') {
      const int64_t count = ElementCount(output.shape).value_or(0);
      ASSIGN_OR_RETURN(data, kserve::ReadTensor(scanner, output.name, output.type, count));
    } else if (!scanner.Skip()) {
      break;
    }
  }
  if (scanner.failed()) return scanner.error();
  return data;
}

}  // namespace

Status CheckAnswer(const net::HttpClient::Response& response) {
  if (response.head.status == 200) return {};
  const auto body = json::Parse(response.body.text());
  const json::Value* error = body.ok() ? body->Find("error") : nullptr;
  const std::string* words = error == nullptr ? nullptr : error->AsString();
  return Internal(
      Concat("the server answered ", response.head.status, ": ",
             words == nullptr ? response.body.text().substr(0, kErrorTextMax) : *words));
}

Result<InferAnswer> DecodeInfer(const net::HttpClient::Response& response) {
  RETURN_IF_ERROR(CheckAnswer(response));
  const size_t body_size = response.body.size();
  size_t json_size = body_size;
  if (const auto given = response.head.headers.Get("inference-header-content-length")) {
    json_size = ParseNumber<size_t>(*given).value_or(body_size + 1);
    if (json_size > body_size)
      return Internal(Concat("the answer's JSON length is '", *given, "'"));
  }
  const std::string_view text = response.body.text().substr(0, json_size);
  ASSIGN_OR_RETURN(const json::Value body,
                   json::Parse(text).WithContext("reading the server's answer"));
  const json::Value::Array* list = ArrayOf(body, "outputs");
  if (list == nullptr) return Internal("the server's answer has no 'outputs' array");

  InferAnswer answer;
  answer.model_version = TextOf(body, "model_version");
  kserve::JsonScanner scanner(text);
  if (!FindOutputs(scanner)) return Internal("the server's answer has no 'outputs' array");
  size_t at = json_size;
  for (const json::Value& entry : *list) {
    const auto type = DataTypeFromName(TextOf(entry, "datatype"));
    InferOutput output{
        TextOf(entry, "name"), type.value_or(DataType::kInvalid), ShapeOf(entry), {}};
    if (!type) return Internal(Concat("output '", output.name, "' has no known datatype"));
    if (!scanner.NextElement()) return Internal("the server's answer changes while it is read");
    ASSIGN_OR_RETURN(output.data, ReadData(scanner, output));
    const json::Value* parameters = entry.Find("parameters");
    if (parameters != nullptr && parameters->Find("binary_data_size") != nullptr) {
      const uint64_t size = CountOf(*parameters, "binary_data_size");
      if (size > body_size - at) return Internal("the answer ends within its tensors");
      output.data = response.body.Slice(at, size);
      at += size;
    }
    answer.outputs.push_back(std::move(output));
  }
  return answer;
}

Result<ServerDeclaration> DecodeServer(const net::HttpClient::Response& response) {
  ASSIGN_OR_RETURN(const json::Value body, ParseBody(response));
  ServerDeclaration server{TextOf(body, "name"), TextOf(body, "version"), {}};
  if (const json::Value::Array* extensions = ArrayOf(body, "extensions")) {
    for (const json::Value& one : *extensions) {
      if (const std::string* name = one.AsString()) server.extensions.push_back(*name);
    }
  }
  return server;
}

Result<ModelDeclaration> DecodeMetadata(const net::HttpClient::Response& response) {
  ASSIGN_OR_RETURN(const json::Value body, ParseBody(response));
  ModelDeclaration model;
  model.name = TextOf(body, "name");
  model.platform = TextOf(body, "platform");
  ASSIGN_OR_RETURN(model.inputs, TensorsOf(body, "inputs"));
  ASSIGN_OR_RETURN(model.outputs, TensorsOf(body, "outputs"));
  return model;
}

Result<ModelLimits> DecodeLimits(const net::HttpClient::Response& response) {
  ASSIGN_OR_RETURN(const json::Value body, ParseBody(response));
  ModelLimits limits;
  limits.max_batch_size = static_cast<int64_t>(CountOf(body, "max_batch_size"));
  const json::Value* policy = body.Find("model_transaction_policy");
  const json::Value* decoupled = policy == nullptr ? nullptr : policy->Find("decoupled");
  limits.decoupled = decoupled != nullptr && decoupled->AsBool() != nullptr && *decoupled->AsBool();
  return limits;
}

Result<ModelStatistics> DecodeStatistics(const net::HttpClient::Response& response) {
  ASSIGN_OR_RETURN(const json::Value body, ParseBody(response));
  const json::Value::Array* versions = ArrayOf(body, "model_stats");
  if (versions == nullptr) return Internal("the server's answer has no 'model_stats' array");
  ModelStatistics sum;
  for (const json::Value& version : *versions) {
    sum.inference_count += CountOf(version, "inference_count");
    sum.execution_count += CountOf(version, "execution_count");
    const json::Value* totals = version.Find("inference_stats");
    if (totals == nullptr) continue;
    Add(sum.success, TotalOf(*totals, "success"));
    Add(sum.fail, TotalOf(*totals, "fail"));
    Add(sum.queue, TotalOf(*totals, "queue"));
    Add(sum.compute_input, TotalOf(*totals, "compute_input"));
    Add(sum.compute_infer, TotalOf(*totals, "compute_infer"));
    Add(sum.compute_output, TotalOf(*totals, "compute_output"));
  }
  return sum;
}

}  // namespace tepal::client
