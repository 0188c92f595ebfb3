#include "serving/inference/request.h"

#include <gtest/gtest.h>

#include <thread>

namespace tepal {
namespace {

struct RecordingSink final : ResponseSink {
  void OnResponse(std::unique_ptr<InferenceResponse> answer, bool is_final) override {
    response = std::move(answer);
    final = is_final;
    ++calls;
  }
  std::unique_ptr<InferenceResponse> response;
  bool final = false;
  int calls = 0;
};

struct CountingHost final : RequestHost {
  void OnRequestEnd() override { ++ended; }
  int ended = 0;
};

TEST(InferenceRequestTest, FailAnswersOnceWithTheRequestsNames) {
  auto sink = std::make_shared<RecordingSink>();
  auto request = std::make_unique<InferenceRequest>();
  request->model_name = "flower";
  request->requested_version = 3;
  request->id = "42";
  request->sink = sink;
  InferenceRequest::Fail(std::move(request), Unavailable("full"));
  ASSERT_EQ(sink->calls, 1);
  EXPECT_TRUE(sink->final);
  EXPECT_EQ(sink->response->status.code(), StatusCode::kUnavailable);
  EXPECT_EQ(sink->response->status.message(), "full");
  EXPECT_EQ(sink->response->model_name, "flower");
  EXPECT_EQ(sink->response->model_version, 3);
  EXPECT_EQ(sink->response->id, "42");
}

TEST(InferenceRequestTest, PrefixNamesTheIdOrSaysThatThereIsNone) {
  InferenceRequest request;
  EXPECT_EQ(RequestIdPrefix(request), "[request id: <id_unknown>] ");
  request.id = "42";
  EXPECT_EQ(RequestIdPrefix(request), "[request id: 42] ");
}

TEST(InferenceRequestTest, FindsInputsByName) {
  InferenceRequest request;
  request.inputs.resize(2);
  request.inputs[0].name = "A";
  request.inputs[1].name = "B";
  EXPECT_EQ(request.FindInput("B"), &request.inputs[1]);
  EXPECT_EQ(request.FindInput("C"), nullptr);
}

TEST(RequestLeaseTest, TellsTheHostWhenTheRequestEnds) {
  auto host = std::make_shared<CountingHost>();
  auto request = std::make_unique<InferenceRequest>();
  request->lease = RequestLease(host);
  EXPECT_EQ(host.use_count(), 2);
  auto moved = std::make_unique<InferenceRequest>(std::move(*request));
  request.reset();
  EXPECT_EQ(host->ended, 0);
  moved.reset();
  EXPECT_EQ(host->ended, 1);
  EXPECT_EQ(host.use_count(), 1);
}

TEST(RequestLeaseTest, FailEndsTheRequestBeforeTheAnswerIsHeard) {
  struct Sink final : ResponseSink {
    void OnResponse(std::unique_ptr<InferenceResponse>, bool) override { ended = host->ended; }
    std::shared_ptr<CountingHost> host = std::make_shared<CountingHost>();
    int ended = -1;
  };
  auto sink = std::make_shared<Sink>();
  auto request = std::make_unique<InferenceRequest>();
  request->lease = RequestLease(sink->host);
  request->sink = sink;
  InferenceRequest::Fail(std::move(request), Internal("x"));
  EXPECT_EQ(sink->ended, 1);
}

TEST(CancellationTokenTest, RunsTheListenerOnce) {
  CancellationToken token;
  int runs = 0;
  token.SetListener([&] { ++runs; });
  EXPECT_FALSE(token.cancelled());
  token.Cancel();
  token.Cancel();
  EXPECT_TRUE(token.cancelled());
  EXPECT_EQ(runs, 1);
}

TEST(CancellationTokenTest, AListenerThatComesLateRunsAtOnce) {
  CancellationToken token;
  token.Cancel();
  int runs = 0;
  token.SetListener([&] { ++runs; });
  EXPECT_EQ(runs, 1);
}

TEST(CancellationTokenTest, ANewListenerReplacesTheOldOne) {
  CancellationToken token;
  int first = 0, second = 0;
  token.SetListener([&] { ++first; });
  token.SetListener([&] { ++second; });
  token.Cancel();
  EXPECT_EQ(first, 0);
  EXPECT_EQ(second, 1);
}

TEST(CancellationTokenTest, ListenerRunsOnceWhicheverThreadIsFirst) {
  for (int round = 0; round < 200; ++round) {
    CancellationToken token;
    std::atomic<int> runs{0};
    std::thread canceller([&] { token.Cancel(); });
    token.SetListener([&] { ++runs; });
    canceller.join();
    EXPECT_EQ(runs, 1);
  }
}

}  // namespace
}  // namespace tepal
