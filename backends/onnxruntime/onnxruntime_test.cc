// The plugin in our host, on ONNX files of a few hundred bytes.

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "backends/onnxruntime/testing/onnx_bytes.h"
#include "serving/backend/testing/host_fixture.h"
#include "serving/model_config/normalise.h"
#include "serving/model_config/parse.h"

namespace tepal {
namespace {

using tepal_plugin::testing::kOnnxFloat;
using tepal_plugin::testing::kOnnxString;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class OnnxRuntimeTest : public testing::HostFixture {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(testing::PluginDirectory() + "/onnxruntime/libonnxruntime.so.1")) {
      GTEST_SKIP() << "ONNX Runtime is not there; `make setup` fetches it";
    }
    std::string name = ::testing::TempDir() + "tepal_onnx_XXXXXX";
    directory_ = mkdtemp(name.data());
    std::filesystem::create_directories(directory_ + "/1");
  }
  void TearDown() override {
    instance_.reset();
    if (!directory_.empty()) std::filesystem::remove_all(directory_);
  }

  void WriteModel(std::string_view bytes) {
    std::ofstream(directory_ + "/1/model.onnx", std::ios::binary) << bytes;
  }

  // SUM = A + B, element by element, of free batch and two columns.
  static std::string SumModel() {
    return tepal_plugin::testing::OnnxModel(
        {{"Add", {"INPUT0", "INPUT1"}, {"SUM"}}},
        {{"INPUT0", kOnnxFloat, {-1, 2}}, {"INPUT1", kOnnxFloat, {-1, 2}}},
        {{"SUM", kOnnxFloat, {-1, 2}}});
  }

  // Loads it with what `config` says (text protobuf) and makes one instance.
  Status Load(const std::string& config) {
    Result<ConfigDraft> draft = ParseConfigText("name: 'm' backend: 'onnxruntime' " + config);
    if (!draft.ok()) return draft.status();
    Normalise(*draft);
    BackendModel::Options options;
    ASSIGN_OR_RETURN(options.library, manager_.Get("onnxruntime", {}));
    options.config = FinishConfig(*draft);
    options.directory = directory_;
    options.auto_complete = true;
    options.complete = [](std::string_view json) -> Result<ModelConfigPtr> {
      ASSIGN_OR_RETURN(ConfigDraft completed, ParseConfigJson(json));
      Normalise(completed);
      return FinishConfig(completed);
    };
    options.clock = &clock_;
    options.statistics = statistics_;
    ASSIGN_OR_RETURN(model_, BackendModel::Load(std::move(options)));
    ASSIGN_OR_RETURN(instance_, BackendInstance::Create(model_, {}));
    return {};
  }

  std::unique_ptr<InferenceRequest> Rows(const std::vector<float>& a, const std::vector<float>& b) {
    auto request = Request({a, b});
    for (InputTensor& input : request->inputs) input.shape = {input.shape[0] / 2, 2};
    return request;
  }

  std::string directory_;
  std::shared_ptr<BackendModel> model_;
  std::unique_ptr<BackendInstance> instance_;
};

TEST_F(OnnxRuntimeTest, ConfigurationComesFromTheFile) {
  WriteModel(SumModel());
  ASSERT_TRUE(Load("").ok());
  const ModelConfig& config = *model_->config();
  EXPECT_EQ(config.max_batch_size, 4);
  EXPECT_TRUE(config.dynamic_batching.has_value());
  ASSERT_EQ(config.inputs.size(), 2u);
  EXPECT_EQ(config.inputs[1].name, "INPUT1");
  EXPECT_EQ(config.inputs[1].type, DataType::kFp32);
  EXPECT_THAT(config.inputs[1].dims, ElementsAre(2));
  EXPECT_FALSE(model_->runs_inline());
}

TEST_F(OnnxRuntimeTest, BatchIsRunAtOnceAndCutApart) {
  WriteModel(SumModel());
  ASSERT_TRUE(Load("").ok());
  Batch batch;
  batch.push_back(Rows({1, 2}, {10, 20}));
  batch.push_back(Rows({3, 4, 5, 6}, {1, 1, 1, 1}));
  batch.push_back(Rows({7, 8}, {0, 0}));
  instance_->Execute(std::move(batch));
  ASSERT_EQ(sink_->responses().size(), 3u);
  EXPECT_THAT(Floats(sink_->responses()[0]->outputs.at(0)), ElementsAre(11, 22));
  EXPECT_THAT(sink_->responses()[1]->outputs.at(0).shape, ElementsAre(2, 2));
  EXPECT_THAT(Floats(sink_->responses()[1]->outputs.at(0)), ElementsAre(4, 5, 6, 7));
  EXPECT_THAT(Floats(sink_->responses()[2]->outputs.at(0)), ElementsAre(7, 8));
  const ModelStatisticsSnapshot counted = statistics_->Read();
  EXPECT_EQ(counted.execution_count, 1u);
  EXPECT_EQ(counted.inference_count, 4u);
  EXPECT_EQ(counted.success.count, 3u);
}

TEST_F(OnnxRuntimeTest, OneBadRequestOfABatchDoesNotHurtTheOthers) {
  WriteModel(SumModel());
  ASSERT_TRUE(Load("").ok());
  Batch batch;
  batch.push_back(Rows({1, 2}, {10, 20}));
  auto bad = Rows({1, 2}, {1, 1});
  bad->inputs.pop_back();
  batch.push_back(std::move(bad));
  auto cancelled = Rows({1, 2}, {1, 1});
  cancelled->cancellation = std::make_shared<CancellationToken>();
  cancelled->cancellation->Cancel();
  batch.push_back(std::move(cancelled));
  batch.push_back(Rows({3, 4}, {1, 1}));
  instance_->Execute(std::move(batch));
  ASSERT_EQ(sink_->responses().size(), 4u);
  EXPECT_EQ(sink_->finals(), 4);
  EXPECT_THAT(Floats(sink_->responses()[0]->outputs.at(0)), ElementsAre(11, 22));
  EXPECT_THAT(sink_->responses()[1]->status.message(), HasSubstr("'INPUT1'"));
  EXPECT_EQ(sink_->responses()[2]->status.code(), StatusCode::kCancelled);
  EXPECT_THAT(Floats(sink_->responses()[3]->outputs.at(0)), ElementsAre(4, 5));
  EXPECT_EQ(statistics_->Read().failures[static_cast<int>(FailureReason::kCanceled)], 1u);
}

TEST_F(OnnxRuntimeTest, StringsAndScalarRowsPassThrough) {
  WriteModel(tepal_plugin::testing::OnnxModel(
      {{"Identity", {"S"}, {"T"}}}, {{"S", kOnnxString, {-1}}}, {{"T", kOnnxString, {-1}}}));
  ASSERT_TRUE(Load("").ok());
  auto request = Request({{}});
  InputTensor& input = request->inputs[0];
  input.name = "S";
  input.type = DataType::kBytes;
  input.shape = {2, 1};
  const std::string_view encoded("\3\0\0\0a\0b\0\0\0\0", 11);
  input.data = {Buffer::Copy(encoded.substr(0, 2)), Buffer::Copy(encoded.substr(2))};
  Execute(*instance_, std::move(request));
  const OutputTensor& output = sink_->responses().at(0)->outputs.at(0);
  EXPECT_EQ(output.data.text(), encoded);
  EXPECT_THAT(output.shape, ElementsAre(2, 1));
}

TEST_F(OnnxRuntimeTest, StringThatEndsEarlyIsAnError) {
  WriteModel(tepal_plugin::testing::OnnxModel(
      {{"Identity", {"S"}, {"T"}}}, {{"S", kOnnxString, {-1, 1}}}, {{"T", kOnnxString, {-1, 1}}}));
  ASSERT_TRUE(Load("").ok());
  auto request = Request({{}});
  request->inputs[0].name = "S";
  request->inputs[0].type = DataType::kBytes;
  request->inputs[0].shape = {1, 1};
  request->inputs[0].data = {Buffer::Static({"\7\0\0\0ab", 6})};
  Execute(*instance_, std::move(request));
  EXPECT_THAT(sink_->responses().at(0)->status.message(), HasSubstr("ends within a string"));
}

TEST_F(OnnxRuntimeTest, TruncatedFileIsNamed) {
  WriteModel(SumModel().substr(0, 40));
  EXPECT_THAT(Load("").message(), HasSubstr("unable to load '" + directory_ + "/1/model.onnx'"));
}

TEST_F(OnnxRuntimeTest, MissingFileIsNamed) {
  EXPECT_THAT(Load("").message(),
              HasSubstr("unable to find '" + directory_ + "/1/model.onnx' for model 'm'"));
}

TEST_F(OnnxRuntimeTest, ConfigurationThatDoesNotFitIsRefused) {
  WriteModel(SumModel());
  const Status status = Load(
      "max_batch_size: 8 input { name: 'INPUT0' data_type: TYPE_FP32 dims: 2 } "
      "input { name: 'INPUT1' data_type: TYPE_INT32 dims: 2 } "
      "output { name: 'SUM' data_type: TYPE_FP32 dims: 2 }");
  EXPECT_THAT(status.message(), HasSubstr("input 'INPUT1' has data_type TYPE_INT32"));
}

TEST_F(OnnxRuntimeTest, GpuThatIsNotThereIsNamed) {
  if (std::filesystem::exists("/dev/nvidia0")) GTEST_SKIP() << "there is a GPU";
  WriteModel(SumModel());
  ASSERT_TRUE(Load("").ok());
  BackendInstance::Options options;
  options.kind = InstanceGroup::Kind::kGpu;
  EXPECT_THAT(BackendInstance::Create(model_, std::move(options)).status().message(),
              HasSubstr("CUDA's driver cannot be used"));
}

TEST_F(OnnxRuntimeTest, BadParameterIsNamed) {
  WriteModel(SumModel());
  EXPECT_THAT(
      Load("parameters { key: 'intra_op_thread_count' value { string_value: 'many' } }").message(),
      HasSubstr("'intra_op_thread_count' must be a whole number of 0 or more, got 'many'"));
}

}  // namespace
}  // namespace tepal
