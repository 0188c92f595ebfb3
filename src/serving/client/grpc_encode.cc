#include "core/base/text.h"
#include "serving/client/grpc_codec.h"
#include "serving/kserve/proto_writer.h"

namespace tepal::client {
namespace {

using kserve::ByteWriter;
using kserve::ProtoWriter;

// Field numbers of ModelInferRequest, of its tensors and of its requested outputs.
enum : uint32_t { kModelName = 1, kId = 3, kInputs = 5, kOutputs = 6, kRawContents = 7 };
enum : uint32_t { kTensorName = 1, kTensorType = 2, kTensorShape = 3, kTensorParameters = 4 };
enum : uint32_t { kOutputName = 1, kOutputParameters = 2 };
enum : uint32_t { kInt64Param = 2, kStringParam = 3 };  // Of InferParameter.

constexpr size_t kMessageExpected = 256;

void WriteNumber(ProtoWriter& out, uint32_t map, std::string_view name, uint64_t value) {
  out.Message(map, [&](ProtoWriter& entry) {
    entry.Text(1, name);
    entry.Message(2, [&](ProtoWriter& parameter) { parameter.Varint(kInt64Param, value); });
  });
}

void WriteRegionPart(ProtoWriter& out, uint32_t map, const RegionPart& part) {
  out.Message(map, [&](ProtoWriter& entry) {
    entry.Text(1, "shared_memory_region");
    entry.Message(2, [&](ProtoWriter& value) { value.Bytes(kStringParam, part.region); });
  });
  WriteNumber(out, map, "shared_memory_byte_size", part.size);
  if (part.offset > 0) WriteNumber(out, map, "shared_memory_offset", part.offset);
}

void WriteInput(ProtoWriter& out, const InferInput& input) {
  out.Message(kInputs, [&](ProtoWriter& tensor) {
    tensor.Text(kTensorName, input.name);
    tensor.Text(kTensorType, DataTypeName(input.type));
    for (const int64_t length : input.shape) tensor.Int(kTensorShape, length);
    if (input.shared) WriteRegionPart(tensor, kTensorParameters, *input.shared);
  });
}

void WriteOutput(ProtoWriter& out, const RequestedOutput& output) {
  out.Message(kOutputs, [&](ProtoWriter& wanted) {
    wanted.Text(kOutputName, output.name);
    if (output.shared) WriteRegionPart(wanted, kOutputParameters, *output.shared);
    if (output.classification > 0) {
      WriteNumber(wanted, kOutputParameters, "classification",
                  static_cast<uint64_t>(output.classification));
    }
  });
}

}  // namespace

std::string GrpcMethod(std::string_view name) {
  return Concat("/inference.GRPCInferenceService/", name);
}

BufferList EncodeGrpcInfer(const InferCall& call) {
  BufferList message;
  ByteWriter bytes(kMessageExpected);
  ProtoWriter out(bytes);
  out.Text(kModelName, call.model);
  for (const InferInput& input : call.inputs) WriteInput(out, input);
  for (const RequestedOutput& output : call.outputs) WriteOutput(out, output);
  for (const InferInput& input : call.inputs) {
    if (input.shared) continue;
    out.LengthOf(kRawContents, input.data.size());
    message.push_back(Buffer::Copy(bytes.Take().text()));
    bytes = ByteWriter(kMessageExpected);
    message.push_back(input.data);
  }
  if (bytes.size() > 0) message.push_back(bytes.Take());
  return message;
}

Buffer EncodeGrpcInferId(std::string_view id) {
  ByteWriter bytes(id.size() + 2);
  ProtoWriter(bytes).Text(kId, id);
  return bytes.Take();
}

BufferList EncodeGrpcTexts(std::string_view first, std::string_view second) {
  ByteWriter bytes(kMessageExpected);
  ProtoWriter out(bytes);
  out.Text(1, first);
  out.Text(2, second);
  return {bytes.Take()};
}

BufferList EncodeGrpcRegister(const SharedRegion& region) {
  ByteWriter bytes(kMessageExpected);
  ProtoWriter out(bytes);
  out.Text(1, region.name);
  out.Text(2, region.key);
  if (region.offset > 0) out.Varint(3, region.offset);
  out.Varint(4, region.size);
  return {bytes.Take()};
}

}  // namespace tepal::client
