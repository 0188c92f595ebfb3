// The plugin in our host, on files that LibTorch wrote (testing/torch_fixtures.cc).

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "serving/backend/testing/host_fixture.h"
#include "serving/model_config/normalise.h"
#include "serving/model_config/parse.h"

namespace tepal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kAddSub =
    "max_batch_size: 8 "
    "input { name: 'INPUT0' data_type: TYPE_FP32 dims: 2 } "
    "input { name: 'INPUT1' data_type: TYPE_FP32 dims: 2 } "
    "output { name: 'DIFFERENCE__1' data_type: TYPE_FP32 dims: 2 } "
    "output { name: 'SUM__0' data_type: TYPE_FP32 dims: 2 } ";

class PyTorchTest : public testing::HostFixture {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(Fixture("add_sub"))) {
      GTEST_SKIP() << "built without LibTorch (TEPAL_TORCH_DIR)";
    }
    std::string name = ::testing::TempDir() + "tepal_torch_XXXXXX";
    directory_ = mkdtemp(name.data());
    std::filesystem::create_directories(directory_ + "/1");
  }
  void TearDown() override {
    instance_.reset();
    if (!directory_.empty()) std::filesystem::remove_all(directory_);
  }

  static std::string Fixture(const std::string& name) {
    return testing::PluginDirectory() + "/pytorch/testing/" + name + ".pt";
  }
  void UseModel(const std::string& name) {
    std::filesystem::copy_file(Fixture(name), directory_ + "/1/model.pt");
  }

  Status Load(const std::string& config, InstanceGroup::Kind kind = InstanceGroup::Kind::kCpu) {
    Result<ConfigDraft> draft = ParseConfigText("name: 'm' platform: 'pytorch_libtorch' " + config);
    if (!draft.ok()) return draft.status();
    RETURN_IF_ERROR(CompleteBackend(*draft, "m", {}));
    Normalise(*draft);
    BackendModel::Options options;
    options.config = FinishConfig(*draft);
    ASSIGN_OR_RETURN(options.library, manager_.Get(options.config->backend, {}));
    options.directory = directory_;
    options.clock = &clock_;
    options.statistics = statistics_;
    ASSIGN_OR_RETURN(model_, BackendModel::Load(std::move(options)));
    BackendInstance::Options instance;
    instance.kind = kind;
    ASSIGN_OR_RETURN(instance_, BackendInstance::Create(model_, std::move(instance)));
    return {};
  }

  std::unique_ptr<InferenceRequest> Rows(const std::vector<std::vector<float>>& values,
                                         const std::vector<std::string>& outputs) {
    auto request = Request(values);
    for (InputTensor& input : request->inputs) input.shape = {input.shape[0] / 2, 2};
    request->requested_outputs.clear();
    for (const std::string& output : outputs) request->requested_outputs.push_back(output);
    return request;
  }

  std::string directory_;
  std::shared_ptr<BackendModel> model_;
  std::unique_ptr<BackendInstance> instance_;
};

TEST_F(PyTorchTest, BatchIsRunAtOnceAndCutApart) {
  UseModel("add_sub");
  ASSERT_EQ(Load(kAddSub).ToString(), Status().ToString());
  const std::vector<std::string> both = {"SUM__0", "DIFFERENCE__1"};
  Batch batch;
  batch.push_back(Rows({{1, 2}, {10, 20}}, both));
  batch.push_back(Rows({{3, 4, 5, 6}, {1, 1, 1, 1}}, both));
  instance_->Execute(std::move(batch));
  ASSERT_EQ(sink_->responses().size(), 2u);
  const InferenceResponse& first = *sink_->responses()[0];
  const InferenceResponse& second = *sink_->responses()[1];
  ASSERT_EQ(first.outputs.size(), 2u);
  EXPECT_EQ(first.outputs[0].name, "DIFFERENCE__1");
  EXPECT_THAT(Floats(first.outputs[0]), ElementsAre(-9, -18));
  EXPECT_THAT(Floats(first.outputs[1]), ElementsAre(11, 22));
  EXPECT_THAT(second.outputs[1].shape, ElementsAre(2, 2));
  EXPECT_THAT(Floats(second.outputs[1]), ElementsAre(4, 5, 6, 7));
  EXPECT_EQ(statistics_->Read().execution_count, 1u);
  EXPECT_EQ(statistics_->Read().inference_count, 3u);
}

TEST_F(PyTorchTest, InputsByArgumentOutputsByKey) {
  UseModel("named");
  ASSERT_EQ(Load("input { name: 'y' data_type: TYPE_FP32 dims: -1 } "
                 "input { name: 'x' data_type: TYPE_FP32 dims: -1 } "
                 "output { name: 'product' data_type: TYPE_FP32 dims: -1 } "
                 "parameters { key: 'INFERENCE_MODE' value { string_value: 'false' } } "
                 "parameters { key: 'DISABLE_OPTIMIZED_EXECUTION' value { string_value: 'true' } }")
                .ToString(),
            Status().ToString());
  auto request = Request({{2, 3}, {5, 7}});
  request->inputs[0].name = "x";
  request->inputs[1].name = "y";
  request->requested_outputs.clear();
  request->requested_outputs.push_back("product");
  Execute(*instance_, std::move(request));
  EXPECT_THAT(Floats(sink_->responses().at(0)->outputs.at(0)), ElementsAre(10, 21));
}

TEST_F(PyTorchTest, AnswersAreTheSameWithTheCompilerOff) {
  UseModel("add_sub");
  const auto flags = [](const std::string& value) {
    std::string config = kAddSub;
    for (const char* key : {"ENABLE_JIT_EXECUTOR", "ENABLE_JIT_PROFILING", "ENABLE_TENSOR_FUSER"}) {
      config +=
          std::string("parameters { key: '") + key + "' value { string_value: '" + value + "' } } ";
    }
    return config;
  };
  // The last turn leaves the process as LibTorch begins.
  for (const char* value : {"false", "true"}) {
    ASSERT_EQ(Load(flags(value)).ToString(), Status().ToString());
    for (int i = 0; i < 3; ++i) {
      Execute(*instance_, Rows({{1, 2}, {10, 20}}, {"SUM__0"}));
      EXPECT_THAT(Floats(sink_->responses().back()->outputs.at(0)), ElementsAre(11, 22));
    }
  }
}

TEST_F(PyTorchTest, OneBadRequestOfABatchDoesNotHurtTheOthers) {
  UseModel("add_sub");
  ASSERT_TRUE(Load(kAddSub).ok());
  Batch batch;
  batch.push_back(Rows({{1, 2}, {10, 20}}, {"SUM__0"}));
  auto bad = Rows({{1, 2}, {1, 1}}, {"SUM__0"});
  bad->inputs.pop_back();
  batch.push_back(std::move(bad));
  batch.push_back(Rows({{3, 4}, {1, 1}}, {"SUM__0"}));
  instance_->Execute(std::move(batch));
  ASSERT_EQ(sink_->responses().size(), 3u);
  EXPECT_THAT(Floats(sink_->responses()[0]->outputs.at(0)), ElementsAre(11, 22));
  EXPECT_THAT(sink_->responses()[1]->status.message(), HasSubstr("'INPUT1'"));
  EXPECT_THAT(Floats(sink_->responses()[2]->outputs.at(0)), ElementsAre(4, 5));
}

TEST_F(PyTorchTest, HalfAndBrainFloatsPassThrough) {
  // 1.5 and its half in each of the 16-bit formats.
  const struct {
    const char* type;
    DataType data_type;
    uint16_t from, to;
  } cases[] = {{"TYPE_FP16", DataType::kFp16, 0x3E00, 0x3A00},
               {"TYPE_BF16", DataType::kBf16, 0x3FC0, 0x3F40}};
  UseModel("half");
  for (const auto& c : cases) {
    const std::string type = c.type;
    ASSERT_TRUE(Load("input { name: 'INPUT__0' data_type: " + type + " dims: 1 } " +
                     "output { name: 'OUTPUT__0' data_type: " + type + " dims: 1 }")
                    .ok());
    auto request = Request({{}});
    InputTensor& input = request->inputs[0];
    input.name = "INPUT__0";
    input.type = c.data_type;
    input.shape = {1};
    input.data = {Buffer::Copy({reinterpret_cast<const char*>(&c.from), sizeof(c.from)})};
    request->requested_outputs.clear();
    request->requested_outputs.push_back("OUTPUT__0");
    Execute(*instance_, std::move(request));
    const OutputTensor& output = sink_->responses().back()->outputs.at(0);
    EXPECT_EQ(output.data.text(),
              std::string_view(reinterpret_cast<const char*>(&c.to), sizeof(c.to)));
  }
}

TEST_F(PyTorchTest, ModelThatLosesRowsIsFound) {
  UseModel("rows");
  ASSERT_TRUE(Load("max_batch_size: 8 input { name: 'INPUT0' data_type: TYPE_FP32 dims: 2 } "
                   "output { name: 'OUTPUT0' data_type: TYPE_FP32 dims: 2 }")
                  .ok());
  Execute(*instance_, Rows({{1, 2, 3, 4}}, {"OUTPUT0"}));
  EXPECT_THAT(sink_->responses().at(0)->status.message(),
              HasSubstr("has shape [1,2], a batch of 2 rows needs that number first"));
}

TEST_F(PyTorchTest, ResultOfAnotherTypeIsNamed) {
  UseModel("half");
  ASSERT_TRUE(Load("input { name: 'INPUT0' data_type: TYPE_FP32 dims: 2 } "
                   "output { name: 'OUTPUT0' data_type: TYPE_INT64 dims: 2 }")
                  .ok());
  Execute(*instance_, Rows({{1, 2}}, {"OUTPUT0"}));
  EXPECT_THAT(sink_->responses().at(0)->status.message(),
              HasSubstr("output 'OUTPUT0' is Float, the configuration says INT64"));
}

TEST_F(PyTorchTest, FailureOfTheModelIsAnAnswer) {
  UseModel("add_sub");
  ASSERT_TRUE(Load(kAddSub).ok());
  auto request = Request({{1, 2}, {1, 2, 3}});
  request->inputs[0].shape = {1, 2};
  request->inputs[1].shape = {1, 3};
  request->requested_outputs.clear();
  request->requested_outputs.push_back("SUM__0");
  Execute(*instance_, std::move(request));
  EXPECT_THAT(sink_->responses().at(0)->status.message(), HasSubstr("model 'm': running failed"));
}

TEST_F(PyTorchTest, MissingAndWrongFilesAreNamed) {
  EXPECT_THAT(Load(kAddSub).message(),
              HasSubstr("unable to find '" + directory_ + "/1/model.pt' for model 'm'"));
  std::ofstream(directory_ + "/1/model.pt") << "not a zip archive";
  EXPECT_THAT(Load(kAddSub).message(), HasSubstr("unable to load '" + directory_ + "/1/model.pt'"));
}

TEST_F(PyTorchTest, GpuThatIsNotThereIsNamed) {
  if (std::filesystem::exists("/dev/nvidia0")) GTEST_SKIP() << "there is a GPU";
  UseModel("add_sub");
  EXPECT_THAT(Load(kAddSub, InstanceGroup::Kind::kGpu).message(), HasSubstr("finds 0 GPUs"));
}

TEST_F(PyTorchTest, ConfigurationWithoutTensorsIsRefused) {
  UseModel("add_sub");
  EXPECT_THAT(Load("").message(), HasSubstr("the configuration names no input"));
}

}  // namespace
}  // namespace tepal
