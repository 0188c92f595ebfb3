// Recording on the driver in test/fake_cuda, which keeps a stream's copies until they are launched.

#include "backends/onnxruntime/cuda_graph.h"

#include <dlfcn.h>
#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <optional>

#include "backends/onnxruntime/cuda_graphs.h"

namespace tepal_plugin {
namespace {

using ::testing::HasSubstr;

std::string Text(Error* error) {
  if (error == nullptr) return {};
  std::string text = TRITONSERVER_ErrorMessage(error);
  TRITONSERVER_ErrorDelete(error);
  return text;
}

class CudaGraphTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(Text(CudaQueue::Open(0, queue_, TEPAL_FAKE_CUDA)), "");
    scope_.emplace(queue_->api(), queue_->context());
    from_.emplace(*queue_, false);
    to_.emplace(*queue_, false);
    ASSERT_EQ(Text(from_->Reserve(4)), "");
    ASSERT_EQ(Text(to_->Reserve(4)), "");
  }

  void Write(const CudaBlock& block, const char* text) {
    ASSERT_EQ(queue_->api().MemcpyHtoD(reinterpret_cast<cuda::CudaPointer>(block.data()), text, 4),
              cuda::kCudaSuccess);
  }
  std::string Read(const CudaBlock& block) {
    std::string text(4, '\0');
    EXPECT_EQ(
        queue_->api().MemcpyDtoH(text.data(), reinterpret_cast<cuda::CudaPointer>(block.data()), 4),
        cuda::kCudaSuccess);
    return text;
  }
  std::string Record(const std::function<Error*()>& work) {
    return Text(CudaGraph::Record(*queue_, work, graph_));
  }
  Error* CopyOnDevice() { return queue_->Copy(to_->data(), from_->data(), 4); }

  std::unique_ptr<CudaQueue> queue_;
  std::optional<cuda::CudaContextScope> scope_;
  std::optional<CudaBlock> from_, to_;
  std::unique_ptr<CudaGraph> graph_;
};

TEST_F(CudaGraphTest, WhatIsRecordedRunsWhenItIsLaunched) {
  Write(*to_, "none");
  Write(*from_, "rose");
  ASSERT_EQ(Record([&] { return CopyOnDevice(); }), "");
  EXPECT_EQ(Read(*to_), "none");
  ASSERT_EQ(Text(graph_->Launch()), "");
  EXPECT_EQ(Read(*to_), "rose");
  Write(*from_, "iris");
  ASSERT_EQ(Text(graph_->Launch()), "");
  EXPECT_EQ(Read(*to_), "iris");
}

TEST_F(CudaGraphTest, MemoryOfTheHostIsRefused) {
  char host[4] = {};
  EXPECT_THAT(Record([&] { return queue_->Copy(to_->data(), host, 4); }),
              HasSubstr("copies memory of the host"));
  EXPECT_THAT(Record([&] { return queue_->Copy(host, from_->data(), 4); }),
              HasSubstr("copies memory of the host"));
  EXPECT_EQ(graph_, nullptr);
}

TEST_F(CudaGraphTest, NothingRecordedIsNoGraph) {
  EXPECT_THAT(Record([]() -> Error* { return nullptr; }), HasSubstr("nothing was put"));
}

TEST_F(CudaGraphTest, AllocationBreaksARecordingAndTheStreamIsGoodAfterwards) {
  EXPECT_THAT(Record([&]() -> Error* {
                CudaBlock block(*queue_, false);
                return block.Reserve(8);
              }),
              HasSubstr("allocating on GPU 0"));
  EXPECT_THAT(Record([&] {
                cuda::CudaPointer ignored = 0;
                EXPECT_NE(queue_->api().MemAlloc(&ignored, 8), cuda::kCudaSuccess);
                return CopyOnDevice();
              }),
              HasSubstr("recording a graph on GPU 0"));
  EXPECT_EQ(graph_, nullptr);
  Write(*from_, "rose");
  ASSERT_EQ(Text(CopyOnDevice()), "");
  EXPECT_EQ(Read(*to_), "rose");
}

std::vector<std::byte> Bytes(std::initializer_list<float> numbers) {
  std::vector<std::byte> bytes(numbers.size() * sizeof(float));
  std::memcpy(bytes.data(), numbers.begin(), bytes.size());
  return bytes;
}

TEST(SameResult, ForgivesRoundingAlone) {
  EXPECT_TRUE(SameResult(TRITONSERVER_TYPE_FP32, Bytes({1, 2000}), Bytes({1.001f, 2001})));
  EXPECT_FALSE(SameResult(TRITONSERVER_TYPE_FP32, Bytes({1, 2}), Bytes({1, 2.1f})));
  EXPECT_FALSE(SameResult(TRITONSERVER_TYPE_FP32, Bytes({1}), Bytes({1, 1})));
  EXPECT_FALSE(SameResult(TRITONSERVER_TYPE_FP32, Bytes({NAN}), Bytes({1})));
  EXPECT_TRUE(SameResult(TRITONSERVER_TYPE_FP32, Bytes({NAN}), Bytes({NAN})));
  EXPECT_FALSE(SameResult(TRITONSERVER_TYPE_INT32, Bytes({1}), Bytes({1.001f})));
}

}  // namespace
}  // namespace tepal_plugin
