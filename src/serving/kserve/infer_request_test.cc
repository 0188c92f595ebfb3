#include "serving/kserve/infer_request.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

namespace tepal::kserve {
namespace {

ModelConfig AddSub() {
  ModelConfig config;
  config.name = "add_sub";
  config.inputs = {{.name = "INPUT0", .type = DataType::kFp32, .dims = {4}, .reshape = {}},
                   {.name = "INPUT1", .type = DataType::kFp32, .dims = {4}, .reshape = {}}};
  return config;
}

struct Parsed {
  InferenceRequest request;
  AnswerForm form;
  Status status;
};

std::unique_ptr<Parsed> Parse(std::string_view json, std::string_view binary = {},
                              const ModelConfig& config = AddSub()) {
  auto parsed = std::make_unique<Parsed>();
  const Buffer body = Buffer::Copy(std::string(json) + std::string(binary));
  parsed->status = ReadInferRequest(body, json.size(), config, parsed->request, parsed->form);
  return parsed;
}

template <typename T>
std::vector<T> Elements(const InputTensor& input) {
  const Buffer data = Flatten(input.data);
  std::vector<T> elements(data.size() / sizeof(T));
  if (!data.empty()) std::memcpy(elements.data(), data.data(), data.size());
  return elements;
}

std::string One(std::string_view type, std::string_view shape, std::string_view data) {
  return R"({"inputs":[{"name":"X","shape":)" + std::string(shape) + R"(,"datatype":")" +
         std::string(type) + R"(","data":)" + std::string(data) + "}]}";
}

TEST(InferRequest, ReadsJson) {
  const auto parsed = Parse(
      R"({"id": "42", "inputs": [{"name": "INPUT0", "shape": [4], "datatype": "FP32", "data": [1, 2, 3, 4.5]},)"
      R"( {"data": [[10, -20], [NaN, Infinity]], "datatype": "FP32", "shape": [2, 2], "name": "INPUT1"}],)"
      R"( "outputs": [{"name": "OUTPUT0", "parameters": {"classification": 2}}, {"name": "OUTPUT1",)"
      R"( "parameters": {"binary_data": true}}], "unknown": {"a": [null]}})");
  ASSERT_TRUE(parsed->status.ok()) << parsed->status.message();
  EXPECT_EQ(parsed->request.id, "42");
  ASSERT_EQ(parsed->request.inputs.size(), 2u);
  EXPECT_EQ(Elements<float>(parsed->request.inputs[0]), (std::vector<float>{1, 2, 3, 4.5f}));
  const auto second = Elements<float>(parsed->request.inputs[1]);
  EXPECT_EQ(second[1], -20);
  EXPECT_TRUE(std::isnan(second[2]));
  EXPECT_TRUE(std::isinf(second[3]));
  EXPECT_EQ(parsed->request.inputs[1].shape, (Shape{2, 2}));
  EXPECT_EQ(parsed->request.requested_outputs, (std::vector<std::string>{"OUTPUT0", "OUTPUT1"}));
  EXPECT_EQ(parsed->form.Find("OUTPUT0")->classes, 2u);
  EXPECT_FALSE(parsed->form.Find("OUTPUT0")->binary);
  EXPECT_TRUE(parsed->form.Find("OUTPUT1")->binary);
  EXPECT_EQ(parsed->form.Find("OUTPUT2"), nullptr);
}

TEST(InferRequest, ReadsEveryElementType) {
  EXPECT_EQ(Elements<int8_t>(Parse(One("INT8", "[2]", "[-128,127]"))->request.inputs[0]),
            (std::vector<int8_t>{-128, 127}));
  EXPECT_EQ(Elements<uint8_t>(Parse(One("UINT8", "[2]", "[0,255]"))->request.inputs[0]),
            (std::vector<uint8_t>{0, 255}));
  EXPECT_EQ(
      Elements<int64_t>(Parse(One("INT64", "[2]", "[-9223372036854775808,9223372036854775807]"))
                            ->request.inputs[0]),
      (std::vector<int64_t>{INT64_MIN, INT64_MAX}));
  EXPECT_EQ(
      Elements<uint64_t>(Parse(One("UINT64", "[1]", "[18446744073709551615]"))->request.inputs[0]),
      (std::vector<uint64_t>{UINT64_MAX}));
  EXPECT_EQ(Elements<uint8_t>(Parse(One("BOOL", "[3]", "[true,false,true]"))->request.inputs[0]),
            (std::vector<uint8_t>{1, 0, 1}));
  EXPECT_EQ(Elements<double>(Parse(One("FP64", "[1]", "[0.1]"))->request.inputs[0]),
            (std::vector<double>{0.1}));
  EXPECT_EQ(Elements<float>(Parse(One("FP32", "[1]", "[16777217]"))->request.inputs[0]),
            (std::vector<float>{16777216}));
  const auto strings = Parse(One("BYTES", "[1,2]", R"(["h\u00e9", ""])"));
  EXPECT_EQ(Flatten(strings->request.inputs[0].data).text(),
            std::string_view("\3\0\0\0h\xc3\xa9\0\0\0\0", 11));
}

TEST(InferRequest, BinaryTensorsAreViewsOfTheBody) {
  const std::string json =
      R"({"inputs":[{"name":"INPUT0","shape":[4],"datatype":"FP32","parameters":{"binary_data_size":16}},)"
      R"({"name":"INPUT1","shape":[0],"datatype":"FP32","parameters":{"binary_data_size":0}},)"
      R"({"name":"INPUT2","shape":[2],"datatype":"INT8","parameters":{"binary_data_size":2}}],)"
      R"("parameters":{"binary_data_output":true}})";
  const Buffer body = Buffer::Copy(json + std::string(16, 'x') + "yz");
  InferenceRequest request;
  AnswerForm form;
  ASSERT_TRUE(ReadInferRequest(body, json.size(), AddSub(), request, form).ok());
  EXPECT_EQ(request.inputs[0].data.front().data(), body.data() + json.size());
  EXPECT_TRUE(request.inputs[1].data.empty());
  EXPECT_EQ(request.inputs[2].data.front().text(), "yz");
  EXPECT_TRUE(form.binary);
}

TEST(InferRequest, ReadsParameters) {
  const auto parsed = Parse(
      R"({"parameters":{"sequence_id":7,"sequence_start":true,"sequence_end":false,"priority":3,)"
      R"("timeout":1000000,"s":"x","b":true,"i":-5,"d":1.5},"inputs":[]})");
  ASSERT_TRUE(parsed->status.ok()) << parsed->status.message();
  const InferenceRequest& request = parsed->request;
  EXPECT_EQ(request.correlation_id, 7u);
  EXPECT_TRUE(request.sequence_start);
  EXPECT_FALSE(request.sequence_end);
  EXPECT_EQ(request.priority, 3u);
  EXPECT_EQ(request.timeout_us, 1'000'000u);
  ASSERT_EQ(request.parameters.size(), 4u);
  EXPECT_EQ(std::get<std::string>(request.parameters[0].value), "x");
  EXPECT_EQ(std::get<bool>(request.parameters[1].value), true);
  EXPECT_EQ(std::get<int64_t>(request.parameters[2].value), -5);
  EXPECT_EQ(std::get<double>(request.parameters[3].value), 1.5);
  EXPECT_EQ(Parse(R"({"parameters":{"sequence_id":"s-1"},"inputs":[]})")->request.correlation_text,
            "s-1");
}

struct ErrorCase {
  std::string json;
  std::string message;
};

TEST(InferRequest, SaysWhatTritonSays) {
  const std::string mismatch =
      "Unable to parse 'data': Shape does not match true shape of 'data' field";
  const ErrorCase cases[] = {
      {One("FP32", "[4]", "[1,2]"), mismatch},
      {One("FP32", "[4]", "[1,2,3,4,5,6,7,8,9]"), mismatch},
      {One("FP32", "[1099511627776]", "[1]"), mismatch},
      {One("FP32", "[-4]", "[1,2,3,4]"),
       "Unable to parse 'shape': attempt to access JSON non-unsigned-integer as unsigned-integer"},
      {One("FLOAT", "[1]", "[1]"), "invalid datatype for input X"},
      {One("TYPE_FP32", "[1]", "[1]"), "invalid datatype for input X"},
      {One("FP16", "[1]", "[1]"),
       "receiving FP16 data via JSON is not supported. Please use the binary data format for input "
       "X"},
      {One("FP32", "[1]", "[\"a\"]"),
       "Unable to parse 'data': attempt to access JSON non-number as double"},
      {One("INT32", "[1]", "[1.5]"),
       "Unable to parse 'data': attempt to access JSON non-signed-integer as signed-integer"},
      {One("UINT8", "[1]", "[-1]"),
       "Unable to parse 'data': attempt to access JSON non-unsigned-integer as unsigned-integer"},
      {One("FP32", "[1]", "5"),
       "Unable to parse 'data': attempt to access JSON non-array as array"},
      {"{}", "Unable to parse 'inputs': attempt to access non-existing object member 'inputs'"},
      {"[1, 2]", "Unable to parse 'inputs': attempt to access non-existing object member 'inputs'"},
      {R"({"inputs": 5})", "Unable to parse 'inputs': attempt to access JSON non-array as array"},
      {R"({"inputs":[{"shape":[1],"datatype":"FP32","data":[1]}]})",
       "Unable to parse 'name': attempt to access non-existing object member 'name'"},
      {R"({"inputs":[{"name":"X","datatype":"FP32","data":[1]}]})",
       "Unable to parse 'shape': attempt to access non-existing object member 'shape'"},
      {R"({"inputs":[{"name":"X","shape":[1],"data":[1]}]})",
       "Unable to parse 'datatype': attempt to access non-existing object member 'datatype'"},
      {R"({"inputs":[{"name":"X","shape":[1],"datatype":"FP32"}]})",
       "Input must set only one of the following fields: 'data', 'binary_data_size' in "
       "'parameters', 'shared_memory_region' in 'parameters'. But no field is set"},
      {R"({"id":"42","inputs":[{"name":"X","shape":[1],"datatype":"FP32","data":[1]},)"
       R"({"name":"X","shape":[1],"datatype":"FP32","data":[1]}]})",
       "[request id: 42] input 'X' already exists in request"},
      {R"({"id":5,"inputs":[]})",
       "Unable to parse 'id': attempt to access JSON non-string as string"},
      {"{not json",
       "failed to parse the request JSON buffer: Missing a name for object member. at 1"},
  };
  for (const ErrorCase& c : cases) {
    const auto parsed = Parse(c.json);
    EXPECT_EQ(parsed->status.message(), c.message) << c.json;
    EXPECT_EQ(parsed->status.code(), StatusCode::kInvalidArgument) << c.json;
  }
}

TEST(InferRequest, IntegersThatDoNotFitNameTheInput) {
  EXPECT_EQ(Parse(One("INT32", "[1]", "[1099511627776]"))->status.message(),
            "Unable to parse 'data': value 1099511627776 of input 'X' does not fit INT32");
  EXPECT_EQ(Parse(One("INT8", "[1]", "[-129]"))->status.message(),
            "Unable to parse 'data': value -129 of input 'X' does not fit INT8");
  EXPECT_EQ(Parse(One("UINT8", "[1]", "[256]"))->status.message(),
            "Unable to parse 'data': value 256 of input 'X' does not fit UINT8");
}

TEST(InferRequest, BadSyntaxIsReportedBeforeBadMeaning) {
  EXPECT_EQ(Parse(R"({"inputs":[{"name":5}], xx)")->status.message(),
            "failed to parse the request JSON buffer: Missing a name for object member. at 24");
  EXPECT_EQ(Parse(One("FP32", "[1]", "[\"a\"]") + "x")->status.message().substr(0, 39),
            "failed to parse the request JSON buffer");
}

TEST(InferRequest, BinaryDataMustBeAllUsed) {
  const std::string json =
      R"({"inputs":[{"name":"X","shape":[1],"datatype":"FP32","parameters":{"binary_data_size":4}}]})";
  EXPECT_TRUE(Parse(json, "abcd")->status.ok());
  EXPECT_EQ(Parse(json, "abcdefgh")->status.message(),
            "unexpected additional input data for model 'add_sub'");
  EXPECT_EQ(Parse(json, "a")->status.message(),
            "unexpected size for input 'X', expecting 3 additional bytes for model 'add_sub'");
}

TEST(InferRequest, RawBodyNeedsOneInput) {
  InferenceRequest request;
  AnswerForm form;
  EXPECT_EQ(ReadInferRequest({}, 0, AddSub(), request, form).message(),
            "[request id: <id_unknown>] Raw request must only have 1 input (found 1) to be deduced "
            "but got 2 inputs in 'add_sub' model configuration");
  ModelConfig one;
  one.max_batch_size = 8;
  one.inputs = {{.name = "X", .type = DataType::kFp32, .dims = {-1, 2}, .reshape = {}}};
  ASSERT_TRUE(ReadInferRequest(Buffer::Copy(std::string(24, 'x')), 0, one, request, form).ok());
  EXPECT_EQ(request.inputs[0].shape, (Shape{1, 3, 2}));
  EXPECT_TRUE(form.binary);
  one.inputs[0].dims = {-1, -1};
  EXPECT_EQ(ReadInferRequest({}, 0, one, request, form).message(),
            "[request id: <id_unknown>] The shape of the raw input 'X' can not be deduced because "
            "there are more than one variable-sized dimension");
}

TEST(InferRequest, RawBodyMustFillItsShape) {
  InferenceRequest request;
  AnswerForm form;
  ModelConfig one;
  one.name = "m";
  one.inputs = {{.name = "X", .type = DataType::kFp32, .dims = {-1}, .reshape = {}}};
  EXPECT_EQ(ReadInferRequest(Buffer::Copy("12345"), 0, one, request, form).message(),
            "[request id: <id_unknown>] input byte size mismatch for input 'raw_input' for model "
            "'m'. Expected 4, got 5");
  one.inputs[0].type = DataType::kBytes;
  EXPECT_EQ(ReadInferRequest(Buffer::Copy("12345"), 0, one, request, form).message(),
            "[request id: <id_unknown>] For BYTE datatype raw input 'X', the model must have input "
            "shape [1]");
  one.inputs[0].dims = {1};
  ASSERT_TRUE(ReadInferRequest(Buffer::Copy("12345"), 0, one, request, form).ok());
  EXPECT_EQ(Flatten(request.inputs[0].data).text(), std::string_view("\5\0\0\00012345", 9));
}

TEST(InferRequest, RequestedOutputsAreASet) {
  const auto parsed = Parse(R"({"inputs":[],"outputs":[{"name":"B"},{"name":"A"},{"name":"B"}]})");
  EXPECT_EQ(parsed->request.requested_outputs, (std::vector<std::string>{"A", "B"}));
}

TEST(InferRequest, HeaderLength) {
  EXPECT_EQ(JsonSize(std::nullopt, 303).value(), 303u);
  EXPECT_EQ(JsonSize("271", 303).value(), 271u);
  EXPECT_EQ(JsonSize("0", 303).value(), 0u);
  EXPECT_EQ(JsonSize("abc", 303).value(), 0u);
  EXPECT_EQ(JsonSize("99999", 303).status().message(),
            "inference header size should be in range (0, 303), got: 99999");
  EXPECT_EQ(JsonSize("-1", 303).status().message(),
            "inference header size should be in range (0, 303), got: -1");
  EXPECT_FALSE(JsonSize("99999999999999999999999", 303).ok());
}

TEST(InferRequest, TensorsInSharedMemoryAreViewsOfIt) {
  const auto in = [](std::string_view name, std::string_view type, std::string_view shape) {
    return R"({"name":")" + std::string(name) + R"(","datatype":")" + std::string(type) +
           R"(","shape":)" + std::string(shape) +
           R"(,"parameters":{"shared_memory_region":"r","shared_memory_offset":8,)" +
           R"("shared_memory_byte_size":16}})";
  };
  const std::string json =
      R"({"inputs":[)" + in("INPUT0", "FP32", "[4]") + "," + in("INPUT1", "BYTES", "[1]") +
      R"(],"outputs":[{"name":"OUTPUT0","parameters":{"shared_memory_region":"r",)"
      R"("shared_memory_byte_size":4}}]})";
  const Buffer region = Buffer::Copy(std::string(64, 'r'));
  RegionMemory regions = [&region](std::string_view name, uint64_t offset,
                                   uint64_t size) -> Result<Buffer> {
    if (name != "r") return NotFound("no region");
    return region.Slice(offset, size);
  };
  InferenceRequest request;
  AnswerForm form;
  ASSERT_TRUE(
      ReadInferRequest(Buffer::Copy(json), json.size(), AddSub(), request, form, &regions).ok());
  EXPECT_EQ(request.inputs[0].data.front().data(), region.data() + 8);
  EXPECT_EQ(request.inputs[0].data.front().size(), 16u);
  // Strings are copied: their lengths must not change after they were checked.
  EXPECT_NE(request.inputs[1].data.front().data(), region.data() + 8);
  EXPECT_EQ(request.inputs[1].data.front().text(), std::string(16, 'r'));
  ASSERT_TRUE(form.outputs[0].in_region);
  EXPECT_EQ(form.outputs[0].region.data(), region.data());
  EXPECT_EQ(form.outputs[0].region.size(), 4u);

  InferenceRequest refused;
  const Status status = ReadInferRequest(Buffer::Copy(json), json.size(), AddSub(), refused, form);
  EXPECT_EQ(status.code(), StatusCode::kUnimplemented) << status.message();
}

TEST(InferRequest, AnOutputGoesOneWayOnly) {
  RegionMemory regions = [](std::string_view, uint64_t, uint64_t) -> Result<Buffer> {
    return Buffer::Copy("memory");
  };
  for (const char* other : {R"("binary_data":true)", R"("classification":2)"}) {
    const std::string json = R"({"inputs":[],"outputs":[{"name":"OUTPUT0","parameters":{)" +
                             std::string(other) +
                             R"(,"shared_memory_region":"r","shared_memory_byte_size":6}}]})";
    InferenceRequest request;
    AnswerForm form;
    const Status status =
        ReadInferRequest(Buffer::Copy(json), json.size(), AddSub(), request, form, &regions);
    EXPECT_TRUE(status.message().starts_with("Output can't set both 'shared_memory_region' and"))
        << status.message();
  }
}

}  // namespace
}  // namespace tepal::kserve
