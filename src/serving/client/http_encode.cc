#include <utility>

#include "core/base/text.h"
#include "core/json/writer.h"
#include "serving/client/http_codec.h"
#include "serving/kserve/tensor_json.h"

namespace tepal::client {
namespace {

constexpr std::string_view kJsonLength = "inference-header-content-length";

void WriteRegionPart(json::Writer& out, const RegionPart& part) {
  out.Key("shared_memory_region").String(part.region);
  out.Key("shared_memory_byte_size").Uint(part.size);
  if (part.offset > 0) out.Key("shared_memory_offset").Uint(part.offset);
}

Status WriteJsonData(json::Writer& out, const InferInput& input) {
  const auto count = ElementCount(input.shape);
  if (!count) {
    return InvalidArgument(
        Concat("input '", input.name, "' has the shape ", ShapeText(input.shape)));
  }
  kserve::ByteWriter text(input.data.size());
  RETURN_IF_ERROR(kserve::WriteTensor(text, input.name, input.type, static_cast<size_t>(*count),
                                      input.data.text()));
  out.Key("data").Raw(text.Take().text());
  return {};
}

Status WriteInput(json::Writer& out, const InferInput& input, TensorForm form) {
  out.BeginObject();
  out.Key("name").String(input.name);
  out.Key("shape").BeginArray();
  for (const int64_t dimension : input.shape) out.Int(dimension);
  out.EndArray();
  out.Key("datatype").String(DataTypeName(input.type));
  if (!input.shared && form == TensorForm::kJson) {
    RETURN_IF_ERROR(WriteJsonData(out, input));
  } else {
    out.Key("parameters").BeginObject();
    if (input.shared) {
      WriteRegionPart(out, *input.shared);
    } else {
      out.Key("binary_data_size").Uint(input.data.size());
    }
    out.EndObject();
  }
  out.EndObject();
  return {};
}

void WriteOutputs(json::Writer& out, const InferCall& call, TensorForm form) {
  if (call.outputs.empty()) {
    if (form == TensorForm::kJson) return;
    out.Key("parameters").BeginObject().Key("binary_data_output").Bool(true).EndObject();
    return;
  }
  out.Key("outputs").BeginArray();
  for (const RequestedOutput& output : call.outputs) {
    out.BeginObject().Key("name").String(output.name).Key("parameters").BeginObject();
    if (output.shared) {
      WriteRegionPart(out, *output.shared);
    } else {
      out.Key("binary_data").Bool(form == TensorForm::kBinary);
    }
    if (output.classification > 0) out.Key("classification").Int(output.classification);
    out.EndObject().EndObject();
  }
  out.EndArray();
}

EncodedRequest Post(std::string target, BufferList body) {
  EncodedRequest encoded;
  encoded.head.method = "POST";
  encoded.head.target = std::move(target);
  encoded.body = std::move(body);
  encoded.head.has_body = true;
  encoded.head.content_length = TotalSize(encoded.body);
  return encoded;
}

}  // namespace

Result<EncodedRequest> EncodeInfer(const InferCall& call, TensorForm form) {
  json::Writer out;
  out.BeginObject().Key("inputs").BeginArray();
  for (const InferInput& input : call.inputs) RETURN_IF_ERROR(WriteInput(out, input, form));
  out.EndArray();
  WriteOutputs(out, call, form);
  out.EndObject();

  BufferList body{Buffer::Copy(out.text())};
  if (form == TensorForm::kBinary) {
    for (const InferInput& input : call.inputs) {
      if (!input.shared) body.push_back(input.data);
    }
  }
  const bool has_tensors = body.size() > 1;
  EncodedRequest encoded = Post(Concat("/v2/models/", call.model, "/infer"), std::move(body));
  encoded.head.headers.Add("content-type",
                           has_tensors ? "application/octet-stream" : "application/json");
  if (has_tensors) encoded.head.headers.Add(kJsonLength, Concat(out.text().size()));
  return encoded;
}

http::RequestHead MakeGet(std::string target) {
  http::RequestHead head;
  head.method = "GET";
  head.target = std::move(target);
  return head;
}

EncodedRequest EncodeRegister(const SharedRegion& region) {
  json::Writer out;
  out.BeginObject().Key("key").String(region.key).Key("offset").Uint(region.offset);
  out.Key("byte_size").Uint(region.size).EndObject();
  return Post(Concat("/v2/systemsharedmemory/region/", region.name, "/register"),
              {Buffer::Copy(out.text())});
}

EncodedRequest EncodeUnregister(const std::string& region) {
  return Post(Concat("/v2/systemsharedmemory/region/", region, "/unregister"), {});
}

}  // namespace tepal::client
