// The v2 inference request and answer over gRPC: ModelInferRequest and ModelInferResponse
// (core/proto/inference.proto), read and written by hand.
//
// Raw tensors become views of the message; typed contents are converted once. Outputs are always
// raw and are sent as they were made. Errors are Triton's words.

#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/result.h"
#include "serving/inference/request.h"
#include "serving/kserve/classification.h"
#include "serving/kserve/infer_request.h"

namespace tepal::kserve {

// A message whose fields have been found; its views are of the buffer it was parsed from.
class GrpcInferRequest {
 public:
  // kInternal "Unable to parse request", as gRPC servers say it.
  static Result<GrpcInferRequest> Parse(const Buffer& message);

  std::string_view model_name() const { return model_name_; }
  std::string_view model_version() const { return model_version_; }

  // What ReadInferRequest does for HTTP. kInvalidArgument.
  Status Fill(InferenceRequest& request, AnswerForm& form) const;

 private:
  using Map = std::vector<std::pair<std::string_view, std::string_view>>;  // To InferParameter.
  struct Tensor {
    std::string_view name, datatype;
    Shape shape;
    bool has_contents = false;
    std::string_view contents;
    bool in_shared_memory = false;
  };
  struct Output {
    std::string_view name;
    Map parameters;
  };

  static bool ParseTensor(std::string_view bytes, Tensor& tensor);
  static bool ParseOutput(std::string_view bytes, Output& output);
  static bool ParseEntry(std::string_view bytes, Map& map);
  Status FillParameters(InferenceRequest& request) const;
  Status FillOutputs(InferenceRequest& request, AnswerForm& form) const;
  Status FillInputs(InferenceRequest& request) const;
  Result<Buffer> ReadContents(const Tensor& tensor, DataType type) const;

  Buffer message_;
  std::string_view model_name_, model_version_, id_;
  Map parameters_;
  std::vector<Tensor> inputs_;
  std::vector<Output> outputs_;
  std::vector<std::string_view> raw_;
};

// Only for a response that is ok; `batched` and `labels` as in WriteInferResponse.
Result<BufferList> WriteGrpcInferResponse(const InferenceResponse& response, const AnswerForm& form,
                                          bool batched, ClassLabels& labels);

}  // namespace tepal::kserve
