// What the plugin asks of GPUs: which streams, copies and graphs. testing/fake_gpu.cc stands in for
// LibTorch's, so the whole plugin runs, in our host, without a GPU.

#include <dlfcn.h>
#include <gmock/gmock.h>

#include <filesystem>
#include <thread>

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
    "output { name: 'SUM__0' data_type: TYPE_FP32 dims: 2 } "
    "output { name: 'DIFFERENCE__1' data_type: TYPE_FP32 dims: 2 } ";
constexpr const char* kGraphs =
    "parameters { key: 'CUDA_GRAPH_BATCH_SIZES' value { string_value: '2,4' } } ";

class PyTorchGpuTest : public testing::HostFixture {
 protected:
  void SetUp() override {
    const std::string plugin =
        testing::PluginDirectory() + "/pytorch_fake/libtriton_pytorch_fake.so";
    if (!std::filesystem::exists(plugin)) {
      GTEST_SKIP() << "built without LibTorch (TEPAL_TORCH_DIR)";
    }
    std::string name = ::testing::TempDir() + "tepal_torch_XXXXXX";
    directory_ = mkdtemp(name.data());
    std::filesystem::create_directories(directory_ + "/1");
    void* const library = dlopen(plugin.c_str(), RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(library, nullptr) << dlerror();
    take_log_ = reinterpret_cast<const char* (*)()>(dlsym(library, "fakeGpuTakeLog"));
    hold_waits_ = reinterpret_cast<void (*)(int)>(dlsym(library, "fakeGpuHoldWaits"));
    Log();
  }
  void TearDown() override {
    instances_.clear();
    if (!directory_.empty()) std::filesystem::remove_all(directory_);
  }

  std::string Log() const { return take_log_(); }

  Status Load(const std::string& model, const std::string& config) {
    const std::string fixtures = testing::PluginDirectory() + "/pytorch/testing/";
    std::filesystem::copy_file(fixtures + model + ".pt", directory_ + "/1/model.pt",
                               std::filesystem::copy_options::overwrite_existing);
    Result<ConfigDraft> draft = ParseConfigText("name: 'm' backend: 'pytorch_fake' " + config);
    if (!draft.ok()) return draft.status();
    Normalise(*draft);
    ASSIGN_OR_RETURN(auto plugin, manager_.Get("pytorch_fake", {}));
    ASSIGN_OR_RETURN(
        model_, BackendModel::Load({std::move(plugin), FinishConfig(*draft), 1, directory_, false,
                                    nullptr, &clock_, nullptr, statistics_}));
    return {};
  }
  Status Start(int32_t gpu) {
    BackendInstance::Options options;
    options.kind = InstanceGroup::Kind::kGpu;
    options.device = gpu;
    ASSIGN_OR_RETURN(auto instance, BackendInstance::Create(model_, std::move(options)));
    instances_.push_back(std::move(instance));
    return {};
  }

  // Rows of two numbers; every element of the second input is 1.
  std::unique_ptr<InferenceRequest> Rows(const std::vector<float>& values, MemoryPlace place = {}) {
    auto request = Request({values, std::vector<float>(values.size(), 1)});
    for (InputTensor& input : request->inputs) {
      input.shape = {input.shape[0] / 2, 2};
      Buffer& data = input.data[0];
      std::byte* const bytes = data.data();
      const size_t size = data.size();
      data = Buffer::Adopt(
          bytes, size, [kept = data](std::byte*) {}, place);
    }
    request->requested_outputs.clear();
    request->requested_outputs.push_back("SUM__0");
    return request;
  }
  void Execute(size_t instance, std::vector<std::unique_ptr<InferenceRequest>> requests) {
    Batch batch;
    for (auto& request : requests) batch.push_back(std::move(request));
    instances_.at(instance)->Execute(std::move(batch));
  }
  template <typename... Requests>
  void Run(size_t instance, Requests... requests) {
    std::vector<std::unique_ptr<InferenceRequest>> batch;
    (batch.push_back(std::move(requests)), ...);
    Execute(instance, std::move(batch));
  }
  std::vector<float> Sum(size_t response) {
    const InferenceResponse& answer = *sink_->responses().at(response);
    EXPECT_TRUE(answer.status.ok()) << answer.status.ToString();
    return answer.outputs.empty() ? std::vector<float>() : Floats(answer.outputs[0]);
  }

  std::string directory_;
  const char* (*take_log_)() = nullptr;
  void (*hold_waits_)(int) = nullptr;
  std::shared_ptr<BackendModel> model_;
  std::vector<std::unique_ptr<BackendInstance>> instances_;
};

// "gpu1 stream7: 8 bytes" without the number of the stream.
std::vector<std::string> Lines(const std::string& log) {
  std::vector<std::string> lines;
  size_t at = 0;
  while (at < log.size()) {
    const size_t end = log.find('\n', at);
    std::string line = log.substr(at, end - at);
    if (const size_t stream = line.find(" stream"); stream != std::string::npos) {
      line.erase(stream, line.find(':') - stream);
    }
    lines.push_back(std::move(line));
    at = end + 1;
  }
  return lines;
}

TEST_F(PyTorchGpuTest, OrdinaryMemoryOfAWholeBatchGoesInOneCopy) {
  ASSERT_EQ(Load("add_sub", kAddSub).ToString(), "OK");
  ASSERT_EQ(Start(0).ToString(), "OK");
  Run(0, Rows({1, 2}), Rows({3, 4, 5, 6}));
  EXPECT_THAT(Lines(Log()),
              ElementsAre("gpu0: 24 bytes from staging", "gpu0: 24 bytes from staging",
                          "gpu0: 24 bytes to staging", "gpu0: wait"));
  EXPECT_THAT(Sum(0), ElementsAre(2, 3));
  EXPECT_THAT(Sum(1), ElementsAre(4, 5, 6, 7));
}

TEST_F(PyTorchGpuTest, WhatAGpuReachesGoesByItself) {
  ASSERT_EQ(Load("add_sub", kAddSub).ToString(), "OK");
  ASSERT_EQ(Start(0).ToString(), "OK");
  Run(0, Rows({1, 2}), Rows({3, 4, 5, 6}, {MemoryKind::kCpuPinned, nullptr}), Rows({7, 8}),
      Rows({9, 10}));
  // The first request's row, the pinned rows, and the last two requests' rows: of each input.
  std::vector<std::string> expected;
  for (int input = 0; input < 2; ++input) {
    expected.insert(expected.end(), {"gpu0: 8 bytes from staging", "gpu0: 16 bytes",
                                     "gpu0: 16 bytes from staging"});
  }
  expected.insert(expected.end(), {"gpu0: 40 bytes to staging", "gpu0: wait"});
  EXPECT_EQ(Lines(Log()), expected);
  EXPECT_THAT(Sum(1), ElementsAre(4, 5, 6, 7));
  EXPECT_THAT(Sum(3), ElementsAre(10, 11));
}

TEST_F(PyTorchGpuTest, ResultsGoToPinnedMemoryByThemselves) {
  ASSERT_EQ(Load("add_sub", kAddSub).ToString(), "OK");
  ASSERT_EQ(Start(0).ToString(), "OK");
  std::byte pinned[8];
  sink_->GiveMemory(Buffer::Adopt(pinned, 8, nullptr, {MemoryKind::kCpuPinned, nullptr}));
  Run(0, Rows({1, 2}));
  EXPECT_THAT(Lines(Log()), ElementsAre("gpu0: 8 bytes from staging", "gpu0: 8 bytes from staging",
                                        "gpu0: 8 bytes", "gpu0: wait"));
  EXPECT_THAT(Sum(0), ElementsAre(2, 3));
}

TEST_F(PyTorchGpuTest, EachInstanceHasAStreamOfItsOwnGpu) {
  ASSERT_EQ(Load("add_sub", kAddSub).ToString(), "OK");
  for (const int32_t gpu : {0, 0, 1}) ASSERT_EQ(Start(gpu).ToString(), "OK");
  std::vector<std::string> streams;
  for (size_t i = 0; i < 3; ++i) {
    Run(i, Rows({1, 2}));
    const std::string log = Log();
    EXPECT_THAT(log, ::testing::Not(HasSubstr("another stream")));
    streams.push_back(log.substr(0, log.find(':')));
    EXPECT_THAT(log, ::testing::EndsWith(streams.back() + ": wait\n"));
  }
  EXPECT_NE(streams[0], streams[1]);
  EXPECT_THAT(streams[1], ::testing::StartsWith("gpu0 "));
  EXPECT_THAT(streams[2], ::testing::StartsWith("gpu1 "));
}

TEST_F(PyTorchGpuTest, ABatchIsCopiedWhileAnotherIsComputed) {
  ASSERT_EQ(Load("add_sub", kAddSub).ToString(), "OK");
  for (int i = 0; i < 2; ++i) ASSERT_EQ(Start(0).ToString(), "OK");
  hold_waits_(1);
  std::vector<std::jthread> workers;
  workers.emplace_back([&] { Run(0, Rows({1, 2})); });
  workers.emplace_back([&] { Run(1, Rows({3, 4})); });
  // Both come as far as their wait although neither's computation has ended. (Should they answer
  // without one, this ends too.)
  std::string log;
  for (size_t waits = 0; waits < 2 && sink_->finals() < 2;) {
    log += Log();
    const std::vector<std::string> lines = Lines(log);
    waits = static_cast<size_t>(std::count(lines.begin(), lines.end(), "gpu0: wait"));
    std::this_thread::yield();
  }
  EXPECT_EQ(sink_->finals(), 0);
  hold_waits_(0);
  workers.clear();
  EXPECT_EQ(sink_->finals(), 2);
}

TEST_F(PyTorchGpuTest, GraphsAreCapturedLargestFirstAndReplayedForWhatFits) {
  ASSERT_EQ(Load("add_sub", std::string(kAddSub) + kGraphs).ToString(), "OK");
  ASSERT_EQ(Start(0).ToString(), "OK");
  EXPECT_THAT(Lines(Log()), ElementsAre("capture 4 rows", "capture 2 rows in the memory of 4"));
  Run(0, Rows({1, 2}), Rows({3, 4, 5, 6}));
  EXPECT_THAT(Log(), HasSubstr("replay 4 rows for 3\n"));
  EXPECT_THAT(Sum(0), ElementsAre(2, 3));
  EXPECT_THAT(Sum(1), ElementsAre(4, 5, 6, 7));
  Run(0, Rows({7, 8}));
  EXPECT_THAT(Log(), HasSubstr("replay 2 rows for 1\n"));
  EXPECT_THAT(Sum(2), ElementsAre(8, 9));
  Run(0, Rows(std::vector<float>(10, 4)));
  EXPECT_THAT(Log(), ::testing::Not(HasSubstr("replay")));
  EXPECT_EQ(Sum(3), std::vector<float>(10, 5));
}

TEST_F(PyTorchGpuTest, AGpuWithoutMemoryIsAnAnswerAndTheNextIsServed) {
  ASSERT_EQ(Load("hungry",
                 "max_batch_size: 8 input { name: 'INPUT0' data_type: TYPE_FP32 dims: 2 } "
                 "output { name: 'SUM__0' data_type: TYPE_FP32 dims: 2 }")
                .ToString(),
            "OK");
  ASSERT_EQ(Start(0).ToString(), "OK");
  const auto one = [&](std::vector<float> values) {
    auto request = Rows(values);
    request->inputs.pop_back();
    Run(0, std::move(request));
  };
  one(std::vector<float>(10, 1));
  const Status refused = sink_->responses().at(0)->status;
  EXPECT_EQ(refused.code(), StatusCode::kUnavailable);
  EXPECT_THAT(refused.message(), HasSubstr("CUDA out of memory. Tried to allocate 1000.00 GiB"));
  EXPECT_THAT(Log(), HasSubstr("cache given back\n"));
  one({1, 2});
  EXPECT_THAT(Sum(1), ElementsAre(2, 3));
}

TEST_F(PyTorchGpuTest, AGpuThatIsNotThereIsNamed) {
  ASSERT_EQ(Load("add_sub", kAddSub).ToString(), "OK");
  EXPECT_THAT(Start(2).message(), HasSubstr("/1/model.pt' on GPU 2: LibTorch "));
  EXPECT_THAT(Start(2).message(), HasSubstr(" finds 2 GPUs"));
}

}  // namespace
}  // namespace tepal
