#include "serving/client/v2_client.h"

#include <utility>

#include "core/base/text.h"
#include "core/json/writer.h"

namespace tepal::client {
namespace {

constexpr std::string_view kJsonLength = "inference-header-content-length";

void WriteInput(json::Writer& out, const InferInput& input) {
  out.BeginObject();
  out.Key("name").String(input.name);
  out.Key("shape").BeginArray();
  for (const int64_t dimension : input.shape) out.Int(dimension);
  out.EndArray();
  out.Key("datatype").String(DataTypeName(input.type));
  out.Key("parameters").BeginObject();
  out.Key("binary_data_size").Uint(input.data.size());
  out.EndObject();
  out.EndObject();
}

void WriteRequestedOutput(json::Writer& out, const InferCall& call) {
  if (call.output.empty()) return;
  out.Key("outputs").BeginArray().BeginObject();
  out.Key("name").String(call.output);
  if (call.classification > 0) {
    out.Key("parameters").BeginObject();
    out.Key("classification").Int(call.classification);
    out.EndObject();
  }
  out.EndObject().EndArray();
}

Result<json::Value> ParseBody(const net::HttpClient::Response& response) {
  if (response.head.status != 200) {
    const auto body = json::Parse(response.body.text());
    const json::Value* error = body.ok() ? body->Find("error") : nullptr;
    const std::string* words = error == nullptr ? nullptr : error->AsString();
    return Internal(Concat("the server answered ", response.head.status, ": ",
                           words == nullptr ? response.body.text().substr(0, 200) : *words));
  }
  return json::Parse(response.body.text()).WithContext("reading the server's answer");
}

std::string TextOf(const json::Value& object, std::string_view key) {
  const json::Value* member = object.Find(key);
  const std::string* text = member == nullptr ? nullptr : member->AsString();
  return text == nullptr ? "" : *text;
}

Shape ShapeOf(const json::Value& tensor) {
  Shape shape;
  const json::Value* member = tensor.Find("shape");
  const json::Value::Array* dimensions = member == nullptr ? nullptr : member->AsArray();
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
  const json::Value* member = metadata.Find(key);
  const json::Value::Array* list = member == nullptr ? nullptr : member->AsArray();
  if (list == nullptr) return Internal(Concat("the model's metadata has no '", key, "' array"));
  for (const json::Value& entry : *list) {
    const std::string datatype = TextOf(entry, "datatype");
    const auto type = DataTypeFromName(datatype);
    if (!type) return Internal(Concat("the model's metadata has datatype '", datatype, "'"));
    tensors.push_back({TextOf(entry, "name"), *type, ShapeOf(entry)});
  }
  return tensors;
}

}  // namespace

EncodedRequest EncodeInfer(const InferCall& call) {
  json::Writer out;
  out.BeginObject().Key("inputs").BeginArray();
  for (const InferInput& input : call.inputs) WriteInput(out, input);
  out.EndArray();
  WriteRequestedOutput(out, call);
  out.EndObject();

  EncodedRequest encoded;
  encoded.head.method = "POST";
  encoded.head.target = Concat("/v2/models/", call.model, "/infer");
  encoded.head.headers.Add("content-type", "application/octet-stream");
  encoded.head.headers.Add(kJsonLength, Concat(out.text().size()));
  encoded.body.push_back(Buffer::Copy(out.text()));
  for (const InferInput& input : call.inputs) encoded.body.push_back(input.data);
  encoded.head.has_body = true;
  encoded.head.content_length = TotalSize(encoded.body);
  return encoded;
}

Result<InferAnswer> DecodeInfer(const net::HttpClient::Response& response) {
  ASSIGN_OR_RETURN(const json::Value body, ParseBody(response));
  InferAnswer answer;
  answer.model_version = TextOf(body, "model_version");
  const json::Value* outputs = body.Find("outputs");
  const json::Value::Array* list = outputs == nullptr ? nullptr : outputs->AsArray();
  if (list == nullptr) return Internal("the server's answer has no 'outputs' array");
  for (const json::Value& entry : *list) {
    const json::Value* data = entry.Find("data");
    answer.outputs.push_back({TextOf(entry, "name"), TextOf(entry, "datatype"), ShapeOf(entry),
                              data == nullptr ? json::Value() : *data});
  }
  return answer;
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

Result<Classification> ParseClassification(std::string_view text) {
  const size_t first = text.find(':');
  const size_t second = first == std::string_view::npos ? first : text.find(':', first + 1);
  const auto score = ParseNumber<double>(text.substr(0, first));
  const auto index = first == std::string_view::npos
                         ? std::nullopt
                         : ParseNumber<int64_t>(text.substr(first + 1, second - first - 1));
  if (!score || !index) {
    return Internal(Concat("the server's class '", text, "' is not SCORE:INDEX[:LABEL]"));
  }
  Classification result{*score, *index, ""};
  if (second != std::string_view::npos) result.label = text.substr(second + 1);
  return result;
}

V2Client::V2Client(net::HttpClient& client, env::Address server)
    : client_(client), server_(std::move(server)) {}

void V2Client::Metadata(const std::string& model, Duration time_max,
                        Function<void(Result<ModelDeclaration>)> done) {
  http::RequestHead head;
  head.method = "GET";
  head.target = "/v2/models/" + model;
  client_.Fetch(server_, std::move(head), {}, time_max,
                [done = std::move(done)](Result<net::HttpClient::Response> response) mutable {
                  done(response.ok() ? DecodeMetadata(*response)
                                     : Result<ModelDeclaration>(response.status()));
                });
}

void V2Client::Infer(const InferCall& call, Duration time_max,
                     Function<void(Result<InferAnswer>)> done) {
  EncodedRequest request = EncodeInfer(call);
  client_.Fetch(
      server_, std::move(request.head), std::move(request.body), time_max,
      [done = std::move(done)](Result<net::HttpClient::Response> response) mutable {
        done(response.ok() ? DecodeInfer(*response) : Result<InferAnswer>(response.status()));
      });
}

}  // namespace tepal::client
