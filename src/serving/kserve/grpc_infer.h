// The v2 inference request and answer over gRPC: ModelInferRequest and ModelInferResponse
// (core/proto/inference.proto), read and written by hand.
//
// Raw tensors become views of the message; typed contents are converted once. Outputs are always
// raw and are sent as they were made. Errors are Triton's words.

#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "serving/inference/request.h"
#include "serving/kserve/classification.h"
#include "serving/kserve/grpc_parameter.h"
#include "serving/kserve/infer_request.h"

namespace tepal::kserve {

// A message whose fields have been found; its views are of the buffer it was parsed from.
class GrpcInferRequest {
 public:
  // kInternal "Unable to parse request", as gRPC servers say it.
  static Result<GrpcInferRequest> Parse(const Buffer& message);

  std::string_view model_name() const { return model_name_; }
  std::string_view model_version() const { return model_version_; }

  std::string_view id() const { return id_; }

  // What ReadInferRequest does for HTTP, with the same `regions`. kInvalidArgument.
  Status Fill(InferenceRequest& request, AnswerForm& form, RegionMemory* regions = nullptr) const;

 private:
  struct Tensor {
    std::string_view name, datatype;
    Shape shape;
    bool has_contents = false;
    std::string_view contents;
    ParameterMap parameters;
  };
  struct Output {
    std::string_view name;
    ParameterMap parameters;
  };

  static bool ParseTensor(std::string_view bytes, Tensor& tensor);
  static bool ParseOutput(std::string_view bytes, Output& output);
  static Status ReadClasses(const Output& output, uint64_t& classes);
  Status FillOutputs(InferenceRequest& request, AnswerForm& form, RegionMemory* regions) const;
  Status FillInputs(InferenceRequest& request, RegionMemory* regions) const;
  // `raw` counts the raw contents that are taken.
  Result<Buffer> FindData(const Tensor& given, DataType type, size_t& raw,
                          RegionMemory* regions) const;

  Buffer message_;
  std::string_view model_name_, model_version_, id_;
  ParameterMap parameters_;
  std::vector<Tensor> inputs_;
  std::vector<Output> outputs_;
  std::vector<std::string_view> raw_;
};

// Only for a response that is ok; `batched` and `labels` as in WriteInferResponse.
Result<BufferList> WriteGrpcInferResponse(const InferenceResponse& response, const AnswerForm& form,
                                          bool batched, ClassLabels& labels);

// The same as an answer within a stream (ModelStreamInferResponse).
Result<BufferList> WriteGrpcStreamResponse(const InferenceResponse& response,
                                           const AnswerForm& form, bool batched,
                                           ClassLabels& labels);

// An error within a stream, which goes on. `model`: the one that failed; empty where none has begun
// with the request.
Buffer WriteGrpcStreamError(const Status& error, std::string_view model, std::string_view id);

}  // namespace tepal::kserve
