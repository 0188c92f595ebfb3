// The texts are those recorded from Triton 2.51 for the same requests.

#include "serving/server_core/request_check.h"

#include <gtest/gtest.h>

#include <string>

namespace tepal {
namespace {

ModelConfig AddSub() {
  ModelConfig config;
  config.name = "add_sub";
  for (const char* name : {"INPUT0", "INPUT1"}) {
    ModelInput& input = config.inputs.emplace_back();
    input.name = name;
    input.type = DataType::kFp32;
    input.dims = {4};
  }
  for (const char* name : {"OUTPUT0", "OUTPUT1"}) config.outputs.emplace_back().name = name;
  return config;
}

ModelConfig Simple() {
  ModelConfig config = AddSub();
  config.name = "simple";
  config.max_batch_size = 8;
  for (ModelInput& input : config.inputs) {
    input.type = DataType::kInt32;
    input.dims = {16};
  }
  return config;
}

ModelConfig Bytes() {
  ModelConfig config;
  config.name = "identity_bytes";
  config.max_batch_size = 64;
  ModelInput& input = config.inputs.emplace_back();
  input.name = "INPUT0";
  input.type = DataType::kBytes;
  input.dims = {-1};
  return config;
}

InputTensor Input(std::string name, DataType type, Shape shape, std::string bytes) {
  InputTensor input;
  input.name = std::move(name);
  input.type = type;
  input.shape = std::move(shape);
  input.data.push_back(Buffer::Copy(bytes));
  return input;
}
InputTensor Fp32(std::string name, Shape shape, size_t bytes = 16) {
  return Input(std::move(name), DataType::kFp32, std::move(shape), std::string(bytes, '\0'));
}
InputTensor Int32(std::string name, Shape shape) {
  const size_t bytes = static_cast<size_t>(ElementCount(shape).value_or(0)) * 4;
  return Input(std::move(name), DataType::kInt32, std::move(shape), std::string(bytes, '\0'));
}

std::string Error(const ModelConfig& config, std::vector<InputTensor> inputs,
                  std::vector<std::string> outputs = {}, const std::string& id = "42") {
  InferenceRequest request;
  request.id = id;
  request.inputs = std::move(inputs);
  request.requested_outputs = std::move(outputs);
  const Status status = CheckRequest(config, request);
  EXPECT_EQ(status.code(), status.ok() ? StatusCode::kOk : StatusCode::kInvalidArgument);
  return status.message();
}

TEST(RequestCheckTest, AcceptsWhatFits) {
  EXPECT_EQ(Error(AddSub(), {Fp32("INPUT0", {4}), Fp32("INPUT1", {4})}, {"OUTPUT1"}), "");
}

TEST(RequestCheckTest, SetsBatchRowsAndTheOrderOfInputs) {
  InferenceRequest request;
  request.inputs = {Int32("INPUT1", {3, 16}), Int32("INPUT0", {3, 16})};
  ASSERT_TRUE(CheckRequest(Simple(), request).ok());
  EXPECT_EQ(request.batch_rows, 3);
  EXPECT_EQ(request.inputs[0].name, "INPUT0");
  request.inputs = {Fp32("INPUT0", {4}), Fp32("INPUT1", {4})};
  ASSERT_TRUE(CheckRequest(AddSub(), request).ok());
  EXPECT_EQ(request.batch_rows, 1);
}

TEST(RequestCheckTest, Shapes) {
  EXPECT_EQ(Error(AddSub(), {Fp32("INPUT0", {5}, 20), Fp32("INPUT1", {4})}),
            "[request id: 42] unexpected shape for input 'INPUT0' for model 'add_sub'. Expected "
            "[4], got [5]. ");
  EXPECT_EQ(Error(AddSub(), {Fp32("INPUT0", {1, 4}), Fp32("INPUT1", {4})}),
            "[request id: 42] unexpected shape for input 'INPUT0' for model 'add_sub'. Expected "
            "[4], got [1,4]. ");
  EXPECT_EQ(Error(AddSub(), {Fp32("INPUT0", {-4}), Fp32("INPUT1", {4})}),
            "[request id: 42] unexpected shape for input 'INPUT0' for model 'add_sub'. Expected "
            "[4], got [-4]. ");
  EXPECT_EQ(Error(AddSub(), {Fp32("INPUT0", {1099511627776, 1099511627776}), Fp32("INPUT1", {4})}),
            "[request id: 42] unexpected shape for input 'INPUT0' for model 'add_sub'. Expected "
            "[4], got [1099511627776,1099511627776]. ");
}

TEST(RequestCheckTest, ABatchDimensionIsExplained) {
  for (const auto& [shape, got] : {std::pair(Shape{2, 15}, "[2,15]"), std::pair(Shape{8}, "[8]")}) {
    const std::string error =
        Error(Simple(), {Int32("INPUT0", shape), Int32("INPUT1", {shape[0], 16})});
    EXPECT_TRUE(error.starts_with(
        "[request id: 42] unexpected shape for input 'INPUT0' for model 'simple'. Expected "
        "[-1,16], got " +
        std::string(got) + ". NOTE: Setting a non-zero max_batch_size in the model config"))
        << error;
  }
}

TEST(RequestCheckTest, Types) {
  EXPECT_EQ(Error(AddSub(), {Int32("INPUT0", {4}), Fp32("INPUT1", {4})}),
            "[request id: 42] inference input 'INPUT0' data-type is 'INT32', but model 'add_sub' "
            "expects 'FP32'");
}

TEST(RequestCheckTest, MissingAndExtraInputs) {
  EXPECT_EQ(Error(AddSub(), {Fp32("INPUT0", {4})}),
            "[request id: 42] expected 2 inputs but got 1 inputs for model 'add_sub'. Got input(s) "
            "['INPUT0'], but missing required input(s) ['INPUT1']. Please provide all required "
            "input(s).");
  EXPECT_EQ(
      Error(AddSub(), {Fp32("INPUT0", {4}), Fp32("INPUT1", {4}), Fp32("INPUT2", {4})}),
      "[request id: 42] expected 2 inputs but got 3 inputs for model 'add_sub'. Got input(s) "
      "['INPUT2','INPUT1','INPUT0'], but missing required input(s) ]. Please provide all required "
      "input(s).");
  EXPECT_EQ(Error(AddSub(), {}, {}, ""),
            "[request id: <id_unknown>] expected 2 inputs but got 0 inputs for model 'add_sub'. "
            "Got input(s) [], but missing required input(s) ['INPUT0','INPUT1']. Please provide "
            "all required input(s).");
}

TEST(RequestCheckTest, NamesThatAreNotThere) {
  EXPECT_EQ(Error(AddSub(), {Fp32("INPUT0", {4}), Fp32("X", {4})}),
            "unexpected inference input 'X' for model 'add_sub'");
  EXPECT_EQ(Error(AddSub(), {Fp32("INPUT0", {4}), Fp32("INPUT1", {4})}, {"NOPE"}),
            "unexpected inference output 'NOPE' for model 'add_sub'");
}

TEST(RequestCheckTest, Duplicates) {
  EXPECT_EQ(Error(AddSub(), {Fp32("INPUT0", {4}), Fp32("INPUT1", {4}), Fp32("INPUT0", {4})}),
            "[request id: 42] input 'INPUT0' already exists in request");
  std::vector<InputTensor> many;
  for (int i = 0; i < 1000; ++i) many.push_back(Fp32("I" + std::to_string(i), {4}));
  many.push_back(Fp32("I7", {4}));
  EXPECT_EQ(Error(AddSub(), std::move(many)),
            "[request id: 42] input 'I7' already exists in request");
}

TEST(RequestCheckTest, BatchSizes) {
  EXPECT_EQ(Error(Simple(), {Int32("INPUT0", {9, 16}), Int32("INPUT1", {9, 16})}, {}, ""),
            "[request id: <id_unknown>] inference request batch-size must be <= 8 for 'simple'");
  EXPECT_EQ(Error(Simple(), {Int32("INPUT0", {2, 16}), Int32("INPUT1", {1, 16})}, {}, ""),
            "[request id: <id_unknown>] input 'INPUT0' batch size does not match other inputs for "
            "'simple'");
  EXPECT_EQ(Error(Simple(), {Int32("INPUT0", {0, 16}), Int32("INPUT1", {0, 16})}),
            "[request id: 42] inference request batch-size must be >= 1 for 'simple', got 0");
  EXPECT_EQ(Error(Simple(), {Int32("INPUT0", {1, 16}), Int32("INPUT1", {})}),
            "[request id: 42] input 'INPUT1' has no shape but model requires batch dimension for "
            "'simple'");
}

TEST(RequestCheckTest, ByteSizes) {
  EXPECT_EQ(Error(AddSub(), {Fp32("INPUT0", {4}, 8), Fp32("INPUT1", {4})}),
            "[request id: 42] input byte size mismatch for input 'INPUT0' for model 'add_sub'. "
            "Expected 16, got 8");
  EXPECT_EQ(Error(AddSub(), {Fp32("INPUT0", {4}, 17), Fp32("INPUT1", {4})}),
            "[request id: 42] input byte size mismatch for input 'INPUT0' for model 'add_sub'. "
            "Expected 16, got 17");
}

TEST(RequestCheckTest, ASizeThatOverflowsIsRefused) {
  ModelConfig config = AddSub();
  for (ModelInput& input : config.inputs) input.dims = {-1, -1};
  const Shape huge{int64_t{1} << 40, int64_t{1} << 40};
  EXPECT_NE(Error(config, {Fp32("INPUT0", huge), Fp32("INPUT1", huge)}).find("is too large"),
            std::string::npos);
  const Shape wide{int64_t{1} << 31, int64_t{1} << 31};  // The elements fit, the bytes do not.
  EXPECT_NE(Error(config, {Fp32("INPUT0", wide), Fp32("INPUT1", wide)}).find("is too large"),
            std::string::npos);
}

std::string BytesError(Shape shape, const std::string& bytes) {
  return Error(Bytes(), {Input("INPUT0", DataType::kBytes, std::move(shape), bytes)});
}

TEST(RequestCheckTest, BytesElements) {
  const std::string abc("\3\0\0\0abc", 7), none("\0\0\0\0", 4);
  EXPECT_EQ(BytesError({1, 1}, abc), "");
  EXPECT_EQ(BytesError({1, 2}, abc + none), "");
  EXPECT_EQ(BytesError({1, 0}, ""), "");
  EXPECT_EQ(BytesError({1, 3}, abc),
            "[request id: 42] expected 3 string elements for inference input 'INPUT0' for model "
            "'identity_bytes', got 1");
  EXPECT_EQ(BytesError({1, 1}, std::string(",\1\0\0abc", 7)),
            "incomplete string data for inference input 'INPUT0', expecting string of length 300 "
            "but only 3 bytes available");
  EXPECT_EQ(BytesError({1, 2}, abc + "xy"),
            "incomplete string length indicator for inference input 'INPUT0', expecting 4 bytes "
            "but only 2 bytes available");
  EXPECT_NE(BytesError({1, 1}, "\xff\xff\xff\xff"), "");
}

TEST(RequestCheckTest, BytesElementsMayLieAcrossPieces) {
  const std::string bytes("\3\0\0\0abc\1\0\0\0z", 12);
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    InferenceRequest request;
    InputTensor input = Input("INPUT0", DataType::kBytes, {1, 2}, bytes.substr(0, cut));
    input.data.push_back(Buffer());
    input.data.push_back(Buffer::Copy(bytes.substr(cut)));
    request.inputs.push_back(std::move(input));
    EXPECT_TRUE(CheckRequest(Bytes(), request).ok()) << cut;
  }
}

TEST(RequestCheckTest, OptionalInputsMayBeLeftOut) {
  ModelConfig config = AddSub();
  config.inputs[1].optional = true;
  EXPECT_EQ(Error(config, {Fp32("INPUT0", {4})}), "");
  EXPECT_EQ(Error(config, {Fp32("INPUT1", {4})}),
            "[request id: 42] missing required input 'INPUT0' for model 'add_sub'");
  EXPECT_EQ(Error(config, {}),
            "[request id: 42] expected number of inputs between 1 and 2 but got 0 inputs for model "
            "'add_sub'. Got input(s) [], but missing required input(s) ['INPUT0']. Please provide "
            "all required input(s).");
}

}  // namespace
}  // namespace tepal
