#include <type_traits>

#include "core/base/text.h"
#include "serving/kserve/byte_writer.h"
#include "serving/kserve/grpc_infer.h"
#include "serving/kserve/proto_writer.h"

namespace tepal::kserve {
namespace {

// Field numbers of ModelInferResponse and its InferOutputTensor.
enum : uint32_t { kModelName = 1, kModelVersion, kId, kParameters, kOutputs, kRawContents };
enum : uint32_t { kTensorName = 1, kTensorType, kTensorShape };

void WriteParameter(ProtoWriter& out, const Parameter& parameter) {
  out.Message(kParameters, [&parameter](ProtoWriter& entry) {
    entry.Text(1, parameter.name);
    entry.Message(2, [&parameter](ProtoWriter& value) {
      std::visit(
          [&value](const auto& given) {
            using Value = std::decay_t<decltype(given)>;
            if constexpr (std::is_same_v<Value, bool>) {
              value.Bool(1, given);
            } else if constexpr (std::is_same_v<Value, int64_t>) {
              value.Int(2, given);
            } else if constexpr (std::is_same_v<Value, std::string>) {
              value.Bytes(3, given);
            } else {
              value.Double(4, given);
            }
          },
          parameter.value);
    });
  });
}

// Sized by hand: a buffer for each nested message would cost more than all of the rest.
void WriteTensor(ProtoWriter& out, const OutputTensor& tensor) {
  const std::string_view type = DataTypeName(tensor.type);
  size_t shape_size = 0;
  for (const int64_t length : tensor.shape) {
    shape_size += ProtoWriter::VarintSize(static_cast<uint64_t>(length));
  }
  size_t size = 0;
  for (const size_t field : {tensor.name.size(), type.size(), shape_size}) {
    if (field != 0) size += 1 + ProtoWriter::VarintSize(field) + field;  // Tags are one byte.
  }
  out.LengthOf(kOutputs, size);
  out.Text(kTensorName, tensor.name);
  out.Text(kTensorType, type);
  if (shape_size == 0) return;
  out.LengthOf(kTensorShape, shape_size);
  for (const int64_t length : tensor.shape) out.Raw(static_cast<uint64_t>(length));
}

constexpr size_t kHeadBytesExpected = 256;

// `final`: a parameter more; null without.
Result<BufferList> WriteResponse(const InferenceResponse& response, const AnswerForm& form,
                                 bool batched, ClassLabels& labels, const Parameter* final) {
  ByteWriter bytes(kHeadBytesExpected);
  ProtoWriter out(bytes);
  out.Text(kModelName, response.model_name);
  out.Text(kModelVersion, Concat(response.model_version));
  out.Text(kId, response.id);
  for (const Parameter& parameter : response.parameters) WriteParameter(out, parameter);
  if (final != nullptr) WriteParameter(out, *final);

  BufferList contents;
  for (const OutputTensor& output : response.outputs) {
    const AnswerForm::Output* wish = form.Find(output.name);
    if (wish != nullptr && wish->in_region) {
      WriteTensor(out, output);
      contents.emplace_back();  // The client has it already.
    } else if (wish != nullptr && wish->classes > 0) {
      ASSIGN_OR_RETURN(OutputTensor classified, Classify(output, wish->classes, batched, labels));
      WriteTensor(out, classified);
      contents.push_back(std::move(classified.data));
    } else {
      WriteTensor(out, output);
      contents.push_back(output.data);
    }
  }
  // The tags and lengths of the contents lie in one buffer with what stands before them; cut there,
  // the contents themselves go between the pieces.
  std::vector<size_t> cuts;
  for (const Buffer& content : contents) {
    out.LengthOf(kRawContents, content.size());
    cuts.push_back(bytes.size());
  }
  const Buffer frame = bytes.Take();
  BufferList message;
  size_t from = 0;
  for (size_t i = 0; i < contents.size(); ++i) {
    message.push_back(frame.Slice(from, cuts[i] - from));
    if (!contents[i].empty()) message.push_back(std::move(contents[i]));
    from = cuts[i];
  }
  if (from != frame.size()) message.push_back(frame.Slice(from, frame.size() - from));
  return message;
}

// Every request of a stream has one answer, so each of them is the final one.
Parameter FinalResponse() { return {"triton_final_response", true}; }

// Field numbers of ModelStreamInferResponse.
enum : uint32_t { kErrorMessage = 1, kInferResponse };

}  // namespace

Result<BufferList> WriteGrpcInferResponse(const InferenceResponse& response, const AnswerForm& form,
                                          bool batched, ClassLabels& labels) {
  return WriteResponse(response, form, batched, labels, nullptr);
}

Result<BufferList> WriteGrpcStreamResponse(const InferenceResponse& response,
                                           const AnswerForm& form, bool batched,
                                           ClassLabels& labels) {
  const Parameter final = FinalResponse();
  ASSIGN_OR_RETURN(BufferList message, WriteResponse(response, form, batched, labels, &final));
  constexpr size_t kTagAndLength = 11;
  ByteWriter bytes(kTagAndLength);
  ProtoWriter(bytes).LengthOf(kInferResponse, TotalSize(message));
  message.insert(message.begin(), bytes.Take());
  return message;
}

Buffer WriteGrpcStreamError(const Status& error, std::string_view model, std::string_view id) {
  ByteWriter bytes(kHeadBytesExpected);
  ProtoWriter out(bytes);
  out.Text(kErrorMessage, error.message());
  out.Message(kInferResponse, [&](ProtoWriter& response) {
    response.Text(kModelName, model);
    response.Text(kId, id);
    if (!model.empty()) WriteParameter(response, FinalResponse());
  });
  return bytes.Take();
}

}  // namespace tepal::kserve
