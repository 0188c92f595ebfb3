#include "serving/server_core/core_impl.h"

#include <gtest/gtest.h>

#include "serving/lifecycle/fakes_test.h"

namespace tepal {
namespace {

// The core reads files only through the repository, which is a fake here.
class NoFiles final : public env::FileSystem {
 public:
  Result<std::string> Read(const std::string& path, uint64_t) override { return NotFound(path); }
  Result<std::vector<Entry>> List(const std::string& path) override { return NotFound(path); }
  Result<Facts> Stat(const std::string& path) override { return NotFound(path); }
  Status Replace(const std::string& path, std::string_view) override { return NotFound(path); }
  Status MakeDirectories(const std::string& path) override { return NotFound(path); }
  Status Remove(const std::string& path) override { return NotFound(path); }
};

class ServerCoreTest : public ::testing::Test {
 protected:
  void Add(const std::string& name, int max_batch_size = 0, const std::string& more = "") {
    (*repository_->models.Lock())[name] = {AddSubConfig(name, max_batch_size) + more, {1}, 1, {}};
  }
  Status Start() {
    auto started = NewServerCoreOver(options_, std::make_unique<FakeRepository>(repository_),
                                     std::make_unique<FakeLoader>(loader_),
                                     {world_.clock, files_, world_.threads});
    if (!started.ok()) return started.status();
    core_ = *std::move(started);
    return {};
  }
  static std::unique_ptr<InferenceRequest> Request(const std::string& model,
                                                   std::shared_ptr<ResponseSink> sink) {
    auto request = std::make_unique<InferenceRequest>();
    request->model_name = model;
    request->id = "42";
    request->sink = std::move(sink);
    for (const char* name : {"INPUT0", "INPUT1"}) {
      InputTensor& input = request->inputs.emplace_back();
      input.name = name;
      input.type = DataType::kFp32;
      input.shape = {4};
      input.data.push_back(Buffer::Copy(std::string(16, '\0')));
    }
    return request;
  }

  FakeWorld world_;
  NoFiles files_;
  std::shared_ptr<FakeRepositoryState> repository_ = std::make_shared<FakeRepositoryState>();
  FakeLoaderState loader_;
  ServerCoreOptions options_;
  std::unique_ptr<ServerCore> core_;
};

TEST_F(ServerCoreTest, AnswersAnInference) {
  Add("add_sub");
  ASSERT_TRUE(Start().ok());
  EXPECT_TRUE(core_->Live());
  EXPECT_TRUE(core_->Ready());
  auto sink = std::make_shared<FakeSink>();
  ASSERT_TRUE(core_->Infer(Request("add_sub", sink)).ok());
  EXPECT_EQ(sink->Wait().id, "42");
  EXPECT_EQ(core_->in_flight(), 0);
}

TEST_F(ServerCoreTest, RefusesWithTheCallerKeepingTheRequest) {
  Add("add_sub");
  ASSERT_TRUE(Start().ok());
  auto unknown = Request("nope", std::make_shared<FakeSink>());
  EXPECT_EQ(core_->Infer(std::move(unknown)).message(),
            "Request for unknown model: 'nope' is not found");
  EXPECT_NE(unknown, nullptr);
  auto version = Request("add_sub", std::make_shared<FakeSink>());
  version->requested_version = 9;
  EXPECT_EQ(core_->Infer(std::move(version)).message(),
            "Request for unknown model: 'add_sub' version 9 is not found");
  auto bad = Request("add_sub", std::make_shared<FakeSink>());
  bad->inputs[0].shape = {5};
  EXPECT_EQ(core_->Infer(std::move(bad)).code(), StatusCode::kInvalidArgument);
  EXPECT_NE(bad, nullptr);
  const auto model = *core_->Find("add_sub", -1);
  EXPECT_EQ(model->statistics().Read().fail.count, 0u) << "a client's mistake";
}

TEST_F(ServerCoreTest, MetadataShowsTheBatchDimension) {
  Add("plain");
  Add("batching", 8);
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(core_->Metadata("plain", -1)->inputs[0].shape, (Shape{4}));
  const auto metadata = core_->Metadata("batching", -1);
  ASSERT_TRUE(metadata.ok());
  EXPECT_EQ(metadata->name, "batching");
  EXPECT_EQ(metadata->platform, "fake");
  EXPECT_EQ(metadata->versions, std::vector<int64_t>{1});
  EXPECT_EQ(metadata->inputs[1].name, "INPUT1");
  EXPECT_EQ(metadata->inputs[1].shape, (Shape{-1, 4}));
  EXPECT_EQ(metadata->outputs[0].type, DataType::kFp32);
  EXPECT_EQ(core_->Metadata("plain", 9).status().code(), StatusCode::kNotFound);
}

TEST_F(ServerCoreTest, ALameDuckIsNotReadyAndGoesOnServing) {
  Add("add_sub");
  ASSERT_TRUE(Start().ok());
  core_->SetLameDuck();
  EXPECT_FALSE(core_->Ready());
  EXPECT_TRUE(core_->Live());
  auto sink = std::make_shared<FakeSink>();
  EXPECT_TRUE(core_->Infer(Request("add_sub", sink)).ok());
}

TEST_F(ServerCoreTest, StrictReadinessCountsFailedModels) {
  Add("add_sub");
  loader_.on_load = [](const std::string&, int64_t) { return Internal("broken"); };
  options_.exit_on_error = false;
  ASSERT_TRUE(Start().ok());
  EXPECT_FALSE(core_->Ready());
  core_.reset();
  options_.strict_readiness = false;
  ASSERT_TRUE(Start().ok());
  EXPECT_TRUE(core_->Ready());
}

TEST_F(ServerCoreTest, AnUnloadedModelIsKnownAndHasNoVersion) {
  Add("add_sub");
  options_.control_mode = ModelControlMode::kExplicit;
  options_.startup_models = {"*"};
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(core_->Unload("add_sub", false).ok());
  EXPECT_EQ(core_->Infer(Request("add_sub", std::make_shared<FakeSink>())).message(),
            "Request for unknown model: 'add_sub' has no available versions");
  EXPECT_TRUE(core_->Ready());
  ASSERT_TRUE(core_->Load("add_sub", {}).ok());
  EXPECT_TRUE(core_->Infer(Request("add_sub", std::make_shared<FakeSink>())).ok());
  ServerCore::LoadOverride with_files;
  with_files.files["1/model.onnx"] = "x";
  EXPECT_EQ(core_->Load("add_sub", with_files).message(),
            "failed to load 'add_sub': files are given, so the parameter 'config' must be, too");
  with_files.config_json = R"({"backend":"identity"})";
  EXPECT_EQ(core_->Load("add_sub", with_files).message(),
            "failed to load 'add_sub': this server takes no files of models");
  EXPECT_TRUE(core_->Infer(Request("add_sub", std::make_shared<FakeSink>())).ok());
}

TEST_F(ServerCoreTest, AfterStopNothingIsTaken) {
  Add("add_sub");
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(core_->Stop(10s).ok());
  EXPECT_FALSE(core_->Live());
  EXPECT_EQ(core_->Infer(Request("add_sub", std::make_shared<FakeSink>())).code(),
            StatusCode::kUnavailable);
  EXPECT_EQ(loader_.alive, 0);
}

}  // namespace
}  // namespace tepal
