// Inside of infer_request.cc: goes once over the JSON of an inference request.

#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "serving/kserve/infer_request.h"
#include "serving/kserve/json_scanner.h"

namespace tepal::kserve {

// "Unable to parse 'shape': attempt to access JSON non-array as array", and its like.
Status Unparsable(std::string_view field, std::string_view why);
Status NotA(std::string_view field, std::string_view what);
Status NoMember(std::string_view field);

// Where a tensor lies in shared memory.
struct RegionText {
  bool given = false;
  std::string name;
  uint64_t offset = 0;
  uint64_t size = 0;
};

// One input as far as its JSON object says.
struct InputText {
  std::string name;
  DataType type = DataType::kInvalid;
  Shape shape;
  std::optional<uint64_t> binary_size;
  std::optional<JsonScanner::Mark> data_at;
  std::optional<Result<Buffer>> data;  // Read where it stood, when type and shape came before it.
  bool has_name = false, has_type = false, has_shape = false;
  RegionText region;
};

class RequestReader {
 public:
  RequestReader(const Buffer& body, size_t json_size, const ModelConfig& model,
                InferenceRequest& request, AnswerForm& form, RegionMemory* regions)
      : body_(body),
        binary_at_(json_size),
        scanner_(body.text().substr(0, json_size)),
        model_(model),
        request_(request),
        form_(form),
        regions_(regions) {}

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

  // A parameter that says where in shared memory the tensor is; false when `name` is none of them.
  bool ReadRegion(std::string_view name, RegionText& region, Status& problem);
  Result<Buffer> FindRegion(const RegionText& region, std::string_view tensor);

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
  RegionMemory* const regions_;  // May be null.
  bool has_inputs_ = false;
  // In the order in which Triton looks.
  Status id_problem_, parameter_problem_, input_problem_, output_problem_;
};

}  // namespace tepal::kserve
