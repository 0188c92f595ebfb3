#include "serving/backend/backend_instance.h"

#include <gmock/gmock.h>

#include "serving/backend/testing/host_fixture.h"

namespace tepal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class BackendInstanceTest : public testing::HostFixture {
 protected:
  // The answer to one request of a probe model that does `what`.
  void Probe(const std::string& what, bool decoupled = false) {
    auto config = testing::Config("probe", 0, {{"do", what}});
    config->decoupled = decoupled;
    auto instance = Instance(config);
    ASSERT_NE(instance, nullptr);
    Execute(*instance, Request({{1}}));
  }
  const InferenceResponse& Only() {
    EXPECT_EQ(sink_->finals(), 1);
    EXPECT_EQ(sink_->responses().size(), 1u);
    return *sink_->responses().at(0);
  }
};

TEST_F(BackendInstanceTest, IdentityAnswersInlineAndCounts) {
  auto instance = Instance(testing::Config("identity", 2, {}));
  ASSERT_NE(instance, nullptr);
  EXPECT_TRUE(instance->runs_inline());
  EXPECT_EQ(instance->name(), "m_0_0");
  Execute(*instance, Request({{1, 2, 3}, {}}));
  const InferenceResponse& answer = Only();
  EXPECT_TRUE(answer.status.ok()) << answer.status.ToString();
  EXPECT_EQ(answer.model_name, "m");
  EXPECT_EQ(answer.model_version, 1);
  EXPECT_EQ(answer.id, "42");
  ASSERT_EQ(answer.outputs.size(), 2u);
  EXPECT_EQ(answer.outputs[0].name, "OUTPUT0");
  EXPECT_EQ(answer.outputs[0].type, DataType::kFp32);
  EXPECT_THAT(answer.outputs[0].shape, ElementsAre(3));
  EXPECT_THAT(Floats(answer.outputs[0]), ElementsAre(1, 2, 3));
  EXPECT_EQ(answer.outputs[1].data.size(), 0u);
  const ModelStatisticsSnapshot counted = statistics_->Read();
  EXPECT_EQ(counted.success.count, 1u);
  EXPECT_EQ(counted.execution_count, 1u);
  EXPECT_EQ(counted.inference_count, 1u);
  EXPECT_EQ(counted.fail.count, 0u);
}

TEST_F(BackendInstanceTest, InputInPiecesIsPutTogether) {
  auto instance = Instance(testing::Config("identity", 1, {}));
  auto request = Request({{1, 2, 3}});
  const Buffer whole = request->inputs[0].data[0];
  request->inputs[0].data = {whole.Slice(0, 5), whole.Slice(5, 7)};
  Execute(*instance, std::move(request));
  EXPECT_THAT(Floats(Only().outputs.at(0)), ElementsAre(1, 2, 3));
}

TEST_F(BackendInstanceTest, OnlyRequestedOutputsAreMade) {
  auto instance = Instance(testing::Config("add_sub", 2, {}));
  auto request = Request({{5, 7}, {2, 10}});
  request->requested_outputs = {"OUTPUT1"};
  Execute(*instance, std::move(request));
  ASSERT_EQ(Only().outputs.size(), 1u);
  EXPECT_THAT(Floats(Only().outputs[0]), ElementsAre(3, -3));
}

TEST_F(BackendInstanceTest, OutputGoesIntoTheMemoryTheSinkBrought) {
  auto instance = Instance(testing::Config("identity", 1, {}));
  Buffer memory = Buffer::Allocate(64);
  const std::byte* place = memory.data();
  sink_->GiveMemory(std::move(memory));
  Execute(*instance, Request({{1, 2}}));
  EXPECT_EQ(Only().outputs.at(0).data.data(), place);
  EXPECT_EQ(Only().outputs.at(0).data.size(), 8u);
}

TEST_F(BackendInstanceTest, TooLittleOutputMemoryIsAnError) {
  auto instance = Instance(testing::Config("identity", 1, {}));
  sink_->GiveMemory(Buffer::Allocate(4));
  Execute(*instance, Request({{1, 2}}));
  EXPECT_THAT(Only().status.message(), HasSubstr("(4 bytes) should be at least 8 bytes"));
}

TEST_F(BackendInstanceTest, ReshapeIsUndoneForTheClient) {
  auto config = testing::Config("identity", 1, {});
  config->max_batch_size = 8;
  config->inputs[0].dims = {2, -1};
  config->inputs[0].reshape = Shape{-1, 2};
  config->outputs[0].dims = {2, -1};
  config->outputs[0].reshape = Shape{-1, 2};
  auto instance = Instance(config);
  auto request = Request({{1, 2, 3, 4, 5, 6}});
  request->inputs[0].shape = {1, 2, 3};
  Execute(*instance, std::move(request));
  EXPECT_THAT(Only().outputs.at(0).shape, ElementsAre(1, 2, 3));
}

TEST_F(BackendInstanceTest, BackendSeesTheReshapedInput) {
  auto config = testing::Config("probe", 1, {{"do", "look"}});
  config->max_batch_size = 8;
  config->inputs[0].dims = {2, -1};
  config->inputs[0].reshape = Shape{-1, 2};
  auto instance = Instance(config);
  auto request = Request({{1, 2, 3, 4, 5, 6}});
  request->inputs[0].shape = {1, 2, 3};
  Execute(*instance, std::move(request));
  EXPECT_EQ(std::get<std::string>(Only().parameters.at(4).value), "[1,3,2]");
}

TEST_F(BackendInstanceTest, AccessorsSayWhatTheRequestSays) {
  auto instance = Instance(testing::Config("probe", 1, {{"do", "look"}}));
  auto request = Request({{1, 2}});
  request->correlation_id = 7;
  request->sequence_end = true;
  request->parameters = {{"ratio", 0.5}};
  request->cancellation = std::make_shared<CancellationToken>();
  request->cancellation->Cancel();
  Execute(*instance, std::move(request));
  const std::vector<Parameter>& said = Only().parameters;
  ASSERT_EQ(said.size(), 6u);
  EXPECT_EQ(std::get<std::string>(said[0].value), "42");
  EXPECT_EQ(std::get<int64_t>(said[1].value), 7);
  EXPECT_EQ(std::get<int64_t>(said[2].value), TRITONSERVER_REQUEST_FLAG_SEQUENCE_END);
  EXPECT_TRUE(std::get<bool>(said[3].value));
  EXPECT_EQ(std::get<std::string>(said[4].value), "[2]");
  EXPECT_EQ(std::get<double>(said[5].value), 0.5);
}

TEST_F(BackendInstanceTest, EveryWayToFailAnswersEveryRequestOnce) {
  for (const std::string how : {"response", "execute", "throw"}) {
    auto instance = Instance(testing::Config("fail", 0, {{"how", how}}));
    ASSERT_NE(instance, nullptr);
    const int before = sink_->finals();
    const uint64_t failed_before = statistics_->Read().fail.count;
    Batch batch;
    for (int i = 0; i < 3; ++i) batch.push_back(Request({{1}}));
    instance->Execute(std::move(batch));
    EXPECT_EQ(sink_->finals(), before + 3) << how;
    EXPECT_THAT(sink_->responses().back()->status.message(), HasSubstr("model said no")) << how;
    EXPECT_EQ(statistics_->Read().fail.count, failed_before + 3) << how;
  }
  EXPECT_EQ(statistics_->Read().success.count, 0u);
}

TEST_F(BackendInstanceTest, BadModelParameterIsRefusedByName) {
  auto library = manager_.Get("fail", {});
  ASSERT_TRUE(library.ok());
  BackendModel::Options options;
  options.library = *library;
  options.config = testing::Config("fail", 0, {{"how", "loudly"}});
  options.clock = &clock_;
  options.statistics = statistics_;
  EXPECT_THAT(BackendModel::Load(std::move(options)).status().message(),
              HasSubstr("parameter 'how' must be response, execute or throw, got 'loudly'"));
}

TEST_F(BackendInstanceTest, DroppedRequestIsAnsweredByTheHost) {
  Probe("drop");
  EXPECT_EQ(Only().status.code(), StatusCode::kInternal);
  EXPECT_THAT(Only().status.message(), HasSubstr("without answering it"));
  EXPECT_EQ(statistics_->Read().fail.count, 1u);
}

TEST_F(BackendInstanceTest, UnreportedSuccessIsCountedByTheHost) {
  Probe("silent");
  EXPECT_TRUE(Only().status.ok());
  EXPECT_EQ(statistics_->Read().success.count, 1u);
  EXPECT_GT(statistics_->Read().compute_infer.ns, 0u);
}

TEST_F(BackendInstanceTest, SecondFinalResponseIsRefused) {
  Probe("twice");
  EXPECT_TRUE(Only().status.ok());
}

TEST_F(BackendInstanceTest, LateAnswersArriveFromManyThreads) {
  constexpr int kBatches = 4;
  constexpr int kRequests = 8;
  {
    auto instance = Instance(testing::Config("probe", 0, {{"do", "late"}}));
    for (int i = 0; i < kBatches; ++i) {
      Batch batch;
      for (int k = 0; k < kRequests; ++k) batch.push_back(Request({{1}}));
      instance->Execute(std::move(batch));
    }
  }  // Joins the backend's threads.
  EXPECT_EQ(sink_->finals(), kBatches * kRequests);
  for (const auto& answer : sink_->responses()) EXPECT_TRUE(answer->status.ok());
  EXPECT_EQ(statistics_->Read().success.count, static_cast<uint64_t>(kBatches * kRequests));
}

TEST_F(BackendInstanceTest, DecoupledModelAnswersSeveralTimesAndCloses) {
  Probe("stream", true);
  ASSERT_EQ(sink_->responses().size(), 4u);
  EXPECT_EQ(sink_->finals(), 1);
  EXPECT_EQ(std::get<int64_t>(sink_->responses()[2]->parameters.at(0).value), 2);
  EXPECT_EQ(sink_->responses()[3], nullptr);
}

TEST_F(BackendInstanceTest, DecoupledModelMayCloseWithoutAnAnswer) {
  Probe("flag_only", true);
  EXPECT_EQ(sink_->responses().at(0), nullptr);
  EXPECT_EQ(sink_->finals(), 1);
}

TEST_F(BackendInstanceTest, OneToOneModelMayNotCloseWithoutAnAnswer) {
  Probe("flag_only");
  EXPECT_THAT(Only().status.message(), HasSubstr("without a response"));
}

// Whoever hears the answer finds the request counted and gone.
TEST_F(BackendInstanceTest, AnswerComesLast) {
  class Host : public RequestHost {
   public:
    void OnRequestEnd() override { ended = true; }
    bool ended = false;
  };
  for (const std::string backend : {"identity", "delay"}) {
    auto instance = Instance(testing::Config(backend, 1, {}));
    auto host = std::make_shared<Host>();
    const uint64_t before = statistics_->Read().success.count;
    bool ended = false;
    uint64_t counted = 0;
    sink_->OnFinal([&] {
      ended = host->ended;
      counted = statistics_->Read().success.count;
    });
    auto request = Request({{1}});
    request->lease = RequestLease(host);
    Execute(*instance, std::move(request));
    EXPECT_TRUE(ended) << backend;
    EXPECT_EQ(counted, before + 1) << backend;
  }
}

// A sink that brings the next request from within its answer, as a pipelined connection does.
TEST_F(BackendInstanceTest, SinkMayExecuteAgain) {
  auto instance = Instance(testing::Config("identity", 1, {}));
  auto inner = std::make_shared<testing::CollectingSink>();
  sink_->OnFinal([&] {
    auto request = Request({{2}});
    request->sink = inner;
    Execute(*instance, std::move(request));
  });
  Execute(*instance, Request({{1}}));
  EXPECT_EQ(sink_->finals(), 1);
  EXPECT_EQ(inner->finals(), 1);
}

TEST_F(BackendInstanceTest, BackendCompletesTheConfiguration) {
  auto library = manager_.Get("probe", {});
  ASSERT_TRUE(library.ok());
  BackendModel::Options options;
  options.library = *library;
  options.config = testing::Config("probe", 0, {{"do", "complete"}});
  options.clock = &clock_;
  options.statistics = statistics_;
  options.auto_complete = true;
  std::string completed;
  options.complete = [&](std::string_view json) -> Result<ModelConfigPtr> {
    completed = json;
    auto config = testing::Config("probe", 0, {});
    config->max_batch_size = 4;
    config->json = json;
    return ModelConfigPtr(config);
  };
  auto model = BackendModel::Load(std::move(options));
  ASSERT_TRUE(model.ok()) << model.status().ToString();
  EXPECT_EQ((*model)->config()->max_batch_size, 4);
  EXPECT_THAT(completed, HasSubstr("\"max_batch_size\":4"));
}

}  // namespace
}  // namespace tepal
