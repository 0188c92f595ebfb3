#include <utility>

#include "core/base/text.h"
#include "serving/client/grpc_codec.h"
#include "serving/kserve/proto_reader.h"

namespace tepal::client {
namespace {

using kserve::ProtoReader;

Status Malformed(std::string_view message) {
  return Internal(Concat("the server's ", message, " cannot be read"));
}

// A part of `message`, which keeps its bytes alive.
Buffer PartOf(const Buffer& message, std::string_view part) {
  return message.Slice(static_cast<size_t>(part.data() - message.text().data()), part.size());
}

// Reads the bytes of a field into `text`.
template <typename Text>
void ReadText(ProtoReader& reader, Text& text) {
  std::string_view bytes;
  if (reader.Bytes(bytes)) text = bytes;
}

void ReadShape(ProtoReader& reader, Shape& shape) {
  reader.Varints([&shape](uint64_t length) { shape.push_back(static_cast<int64_t>(length)); });
}

// InferOutputTensor and TensorMetadata: name, datatype and shape have the same numbers in both.
template <typename Tensor>
bool ReadTensor(std::string_view bytes, Tensor& tensor) {
  ProtoReader reader(bytes);
  while (reader.Next()) {
    std::string_view type;
    switch (reader.field()) {
      case 1:
        ReadText(reader, tensor.name);
        break;
      case 2:
        ReadText(reader, type);
        tensor.type = DataTypeFromName(type).value_or(DataType::kInvalid);
        break;
      case 3:
        ReadShape(reader, tensor.shape);
        break;
      default:
        reader.Skip();
    }
  }
  return reader.ok() && tensor.type != DataType::kInvalid;
}

template <typename Tensor>
bool AddTensor(ProtoReader& reader, std::vector<Tensor>& tensors) {
  std::string_view bytes;
  return reader.Bytes(bytes) && ReadTensor(bytes, tensors.emplace_back());
}

void AddTotal(ProtoReader& reader, ModelStatistics::Total& sum) {
  std::string_view bytes;
  if (!reader.Bytes(bytes)) return;
  ProtoReader total(bytes);
  while (total.Next()) {
    uint64_t value = 0;
    if (!total.Varint(value)) return;
    (total.field() == 1 ? sum.count : sum.ns) += value;
  }
}

// InferStatistics.
bool AddTotals(std::string_view bytes, ModelStatistics& sum) {
  ProtoReader reader(bytes);
  ModelStatistics::Total* const totals[] = {&sum.success,       &sum.fail,
                                            &sum.queue,         &sum.compute_input,
                                            &sum.compute_infer, &sum.compute_output};
  while (reader.Next()) {
    if (reader.field() <= std::size(totals)) {
      AddTotal(reader, *totals[reader.field() - 1]);
    } else {
      reader.Skip();
    }
  }
  return reader.ok();
}

// ModelStatistics.
bool AddVersion(std::string_view bytes, ModelStatistics& sum) {
  ProtoReader reader(bytes);
  while (reader.Next()) {
    uint64_t count = 0;
    std::string_view totals;
    if (reader.field() == 4 && reader.Varint(count)) {
      sum.inference_count += count;
    } else if (reader.field() == 5 && reader.Varint(count)) {
      sum.execution_count += count;
    } else if (reader.field() == 6 && reader.Bytes(totals)) {
      if (!AddTotals(totals, sum)) return false;
    } else {
      reader.Skip();
    }
  }
  return reader.ok();
}

}  // namespace

Result<InferAnswer> DecodeGrpcInfer(const Buffer& message) {
  InferAnswer answer;
  std::vector<std::string_view> raw;
  ProtoReader reader(message.text());
  while (reader.Next()) {
    bool read = true;
    if (reader.field() == 2) {
      ReadText(reader, answer.model_version);
    } else if (reader.field() == 5) {
      read = AddTensor(reader, answer.outputs);
    } else if (reader.field() == 6) {
      read = reader.Bytes(raw.emplace_back());
    } else {
      reader.Skip();
    }
    if (!read) return Malformed("ModelInferResponse");
  }
  // Where a server answers in shared memory, the raw contents of that output may be left out.
  if (!reader.ok() || raw.size() > answer.outputs.size()) return Malformed("ModelInferResponse");
  for (size_t i = 0; i < raw.size(); ++i) answer.outputs[i].data = PartOf(message, raw[i]);
  return answer;
}

Result<ServerDeclaration> DecodeGrpcServer(const Buffer& message) {
  ServerDeclaration server;
  ProtoReader reader(message.text());
  while (reader.Next()) {
    if (reader.field() == 1) {
      ReadText(reader, server.name);
    } else if (reader.field() == 2) {
      ReadText(reader, server.version);
    } else if (reader.field() == 3) {
      ReadText(reader, server.extensions.emplace_back());
    } else {
      reader.Skip();
    }
  }
  if (!reader.ok()) return Malformed("ServerMetadataResponse");
  return server;
}

Result<ModelDeclaration> DecodeGrpcMetadata(const Buffer& message) {
  ModelDeclaration model;
  ProtoReader reader(message.text());
  bool read = true;
  while (read && reader.Next()) {
    if (reader.field() == 1) {
      ReadText(reader, model.name);
    } else if (reader.field() == 3) {
      ReadText(reader, model.platform);
    } else if (reader.field() == 4) {
      read = AddTensor(reader, model.inputs);
    } else if (reader.field() == 5) {
      read = AddTensor(reader, model.outputs);
    } else {
      reader.Skip();
    }
  }
  if (!read || !reader.ok()) return Malformed("ModelMetadataResponse");
  return model;
}

Result<ModelLimits> DecodeGrpcLimits(const Buffer& message) {
  // Of ModelConfigResponse, and of ModelConfig in it.
  constexpr uint32_t kConfig = 1, kMaxBatchSize = 4, kTransactionPolicy = 19;
  ModelLimits limits;
  ProtoReader reader(message.text());
  std::string_view bytes;
  while (reader.Next()) {
    if (reader.field() != kConfig) {
      reader.Skip();
    } else if (!reader.Bytes(bytes)) {
      break;
    }
  }
  if (!reader.ok()) return Malformed("ModelConfigResponse");
  ProtoReader config(bytes);
  while (config.Next()) {
    uint64_t value = 0;
    std::string_view policy;
    if (config.field() == kMaxBatchSize && config.Varint(value)) {
      limits.max_batch_size = static_cast<int64_t>(value);
    } else if (config.field() == kTransactionPolicy && config.Bytes(policy)) {
      ProtoReader decoupled(policy);
      while (decoupled.Next() && decoupled.Varint(value)) limits.decoupled = value != 0;
    } else {
      config.Skip();
    }
  }
  if (!config.ok()) return Malformed("ModelConfigResponse");
  return limits;
}

Result<ModelStatistics> DecodeGrpcStatistics(const Buffer& message) {
  ModelStatistics sum;
  ProtoReader reader(message.text());
  while (reader.Next()) {
    std::string_view version;
    if (reader.field() != 1) {
      reader.Skip();
    } else if (!reader.Bytes(version) || !AddVersion(version, sum)) {
      return Malformed("ModelStatisticsResponse");
    }
  }
  if (!reader.ok()) return Malformed("ModelStatisticsResponse");
  return sum;
}

Result<StreamAnswer> DecodeStreamAnswer(const Buffer& message) {
  StreamAnswer answer;
  std::string_view response;
  ProtoReader reader(message.text());
  while (reader.Next()) {
    if (reader.field() == 1) {
      ReadText(reader, answer.error);
    } else if (reader.field() == 2) {
      ReadText(reader, response);
    } else {
      reader.Skip();
    }
  }
  if (!reader.ok()) return Malformed("ModelStreamInferResponse");
  if (response.empty()) return answer;
  answer.response = PartOf(message, response);
  ProtoReader inner(response);
  while (inner.Next()) {
    if (inner.field() == 3) {
      ReadText(inner, answer.id);
      break;  // The tensors are of no interest here.
    }
    inner.Skip();
  }
  return answer;
}

}  // namespace tepal::client
