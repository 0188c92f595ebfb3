// The messages of inference.GRPCInferenceService (core/proto/inference.proto) that a client writes
// and reads, by hand: a load generator's requests are bytes that are made once. Pure.

#pragma once

#include <string_view>

#include "serving/client/infer_call.h"

namespace tepal::client {

// "/inference.GRPCInferenceService/ModelInfer".
std::string GrpcMethod(std::string_view name);

// A ModelInferRequest: tensors raw, shared with the call and not copied.
BufferList EncodeGrpcInfer(const InferCall& call);

// The `id` field of that message. Fields come in any order, so one may be put before the rest.
Buffer EncodeGrpcInferId(std::string_view id);

// A message whose fields 1 and 2 are `first` and `second`; empty ones are left out.
BufferList EncodeGrpcTexts(std::string_view first, std::string_view second = {});

BufferList EncodeGrpcRegister(const SharedRegion& region);

// kInternal when the bytes are no such message.
Result<InferAnswer> DecodeGrpcInfer(const Buffer& message);
Result<ServerDeclaration> DecodeGrpcServer(const Buffer& message);
Result<ModelDeclaration> DecodeGrpcMetadata(const Buffer& message);
Result<ModelLimits> DecodeGrpcLimits(const Buffer& message);
Result<ModelStatistics> DecodeGrpcStatistics(const Buffer& message);

// A ModelStreamInferResponse. `id` is the request's where the server says it, with an error too.
struct StreamAnswer {
  std::string_view error;
  std::string_view id;
  Buffer response;  // A ModelInferResponse.
};
Result<StreamAnswer> DecodeStreamAnswer(const Buffer& message);

}  // namespace tepal::client
