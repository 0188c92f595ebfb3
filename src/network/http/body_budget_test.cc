// Bodies and the budget of the process, over both protocols.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

#include "network/http/body_collector.h"
#include "network/http/grpc.h"
#include "network/http/session_test_support.h"

namespace tepal::http {
namespace {

constexpr size_t kLimitBytes = 100'000;

// Keeps every body that it gets, and answers at once.
class KeepingHandler final : public RequestHandler {
 public:
  std::unique_ptr<RequestReceiver> OnRequest(RequestHead head, ResponseSender& sender) override {
    const auto keep = [this, &sender](Buffer body) {
      bodies.push_back(std::move(body));
      sender.Respond(ResponseHead(), {});
    };
    const auto on_reset = [this](const Status& why) { resets.push_back(why.code()); };
    if (IsGrpcRequest(head)) {
      return std::make_unique<GrpcUnaryRequest>(head, sender, SIZE_MAX, keep, on_reset);
    }
    return std::make_unique<CollectingRequest>(head, SIZE_MAX, sender, keep, on_reset);
  }
  std::deque<Buffer> bodies;
  std::vector<StatusCode> resets;
};

// One block of memory that is not ordinary, for whoever comes first.
class OneBlock final : public SlabSource {
 public:
  Buffer TryAllocate(size_t size, Budget* budget) override {
    if (taken || size > sizeof(block)) return {};
    taken = true;
    return Buffer::Adopt(
        block, size, [this](std::byte*) { taken = false; }, {MemoryKind::kCpuPinned, nullptr},
        budget);
  }
  bool taken = false;

 private:
  std::byte block[50'000];
};

struct Protocol {
  const char* name;
  std::unique_ptr<ClientSession> (*client)(const Limits&, SessionHost&);
};

class BodyBudgetTest : public ::testing::TestWithParam<Protocol> {
 protected:
  BodyBudgetTest() {
    limits.body_budget = &budget;
    limits.window_bytes = limits.connection_window_bytes = 1 << 20;
  }
  struct Pair {
    std::unique_ptr<Session> server;
    std::unique_ptr<ClientSession> client;
    std::string on_its_way;  // What the server has not read.
  };
  // Unlike MoveAll: what the server does not read now, it reads later.
  void Move(Pair& pair) {
    size_t before = SIZE_MAX;
    std::string down;
    while (pair.on_its_way.size() != before || !down.empty()) {
      if (!down.empty()) pair.on_its_way += Give(*pair.client, down, host.now);
      pair.on_its_way += TakeAllOutput(*pair.client, host.now);
      before = pair.on_its_way.size();
      const int64_t taken = GiveOnce(*pair.server, pair.on_its_way, host.now);
      if (taken > 0) pair.on_its_way.erase(0, static_cast<size_t>(taken));
      down = TakeAllOutput(*pair.server, host.now);
    }
  }
  Pair& Connect() {
    return pairs.emplace_back(
        Pair{NewServerSession(limits, host, handler), GetParam().client(Limits(), host), ""});
  }
  Answer& Post(Pair& pair, size_t size, bool knows_length = true) {
    RequestHead head = MakeRequest("POST", "/");
    if (knows_length) head.content_length = size;
    return Send(pair, std::move(head), std::string(size, 'x'));
  }
  Answer& Send(Pair& pair, RequestHead head, std::string_view body) {
    Answer& answer = answers.emplace_back();
    RequestSender* sender =
        pair.client->Send(head, false, std::make_unique<RecordingReceiver>(answer));
    const bool whole = head.content_length.value_or(body.size()) == body.size();
    sender->Write(Text(body));
    if (whole) sender->Finish();
    Move(pair);
    return answer;
  }
  // The server's timer, `steps` times.
  void Wait(Pair& pair, int steps) {
    for (int i = 0; i < steps; ++i) {
      ASSERT_TRUE(pair.server->NextDeadline().has_value());
      host.now = std::max(host.now, *pair.server->NextDeadline());
      pair.server->OnTime(host.now);
      Move(pair);
    }
  }
  void WaitInVain(Pair& pair) {
    const Instant end = host.now + limits.budget_wait_max;
    while (host.now < end) Wait(pair, 1);
  }

  Budget budget{kLimitBytes};
  Limits limits;
  TestHost host;
  KeepingHandler handler;
  std::deque<Answer> answers;
  std::deque<Pair> pairs;
};

TEST_P(BodyBudgetTest, ABodyIsCountedUntilItsLastViewIsGone) {
  EXPECT_EQ(Post(Connect(), 5000).status, 200);
  EXPECT_EQ(budget.used(), 5000u);
  Buffer view = handler.bodies.front().Slice(10, 10);
  handler.bodies.clear();
  EXPECT_EQ(budget.used(), 5000u);
  view = Buffer();
  EXPECT_EQ(budget.used(), 0u);
}

TEST_P(BodyBudgetTest, ABodyWaitsForMemory) {
  EXPECT_EQ(Post(Connect(), 60'000).status, 200);
  Pair& pair = Connect();
  const Answer& waiting = Post(pair, 60'000);
  Wait(pair, 5);
  EXPECT_EQ(waiting.status, 0);
  EXPECT_LT(host.now, Instant(Duration(1000s)) + limits.budget_wait_max);
  handler.bodies.pop_front();
  Wait(pair, 1);
  EXPECT_EQ(waiting.status, 200);
  EXPECT_EQ(handler.bodies.front().size(), 60'000u);
  EXPECT_EQ(budget.used(), 60'000u);
  EXPECT_EQ(budget.refusals(), 0u);
}

TEST_P(BodyBudgetTest, ABodyThatGetsNoMemoryInTimeIsRefused) {
  EXPECT_EQ(Post(Connect(), 60'000).status, 200);
  Pair& pair = Connect();
  const Answer& waiting = Post(pair, 60'000);
  WaitInVain(pair);
  EXPECT_EQ(waiting.status, 503);
  EXPECT_THAT(waiting.body, ::testing::HasSubstr("no memory"));
  EXPECT_THAT(handler.resets, ::testing::ElementsAre(StatusCode::kResourceExhausted));
  EXPECT_EQ(budget.refusals(), 1u);
  EXPECT_EQ(budget.used(), 60'000u);
  // There is room for less, on a connection of its own where HTTP/1.1 has closed that one.
  EXPECT_EQ(Post(pair.client->Capacity() > 0 ? pair : Connect(), 1000).status, 200);
}

TEST_P(BodyBudgetTest, ABodyOfUnknownLengthIsCountedAsItGrows) {
  EXPECT_EQ(Post(Connect(), 20'000, false).status, 200);
  EXPECT_GE(budget.used(), 20'000u);
  EXPECT_EQ(handler.bodies.front().size(), 20'000u);
  handler.bodies.clear();
  EXPECT_EQ(budget.used(), 0u);
}

TEST_P(BodyBudgetTest, ConnectionsThatGoWhileTheyWaitLeaveNothingBehind) {
  EXPECT_EQ(Post(Connect(), 60'000).status, 200);
  Pair& pair = Connect();
  Post(pair, 60'000);
  pair.server->OnDisconnect(Unavailable("gone"));
  pair.server.reset();
  EXPECT_EQ(budget.used(), 60'000u);
}

TEST_P(BodyBudgetTest, BodiesLieWhereTheSourceHasThemAndCountAllTheSame) {
  OneBlock source;
  limits.body_source = &source;
  Pair& pair = Connect();
  for (const MemoryKind kind : {MemoryKind::kCpuPinned, MemoryKind::kCpu}) {
    EXPECT_EQ(Post(pair, 40'000).status, 200);
    EXPECT_EQ(handler.bodies.back().place().kind, kind);
    EXPECT_EQ(handler.bodies.back().text(), std::string(40'000, 'x'));
  }
  EXPECT_EQ(budget.used(), 80'000u);
  handler.bodies.pop_front();
  EXPECT_EQ(budget.used(), 40'000u);
  EXPECT_FALSE(source.taken);
  // Over the limit the source is not asked.
  handler.bodies.push_back(Buffer::TryAllocate(50'000, budget));
  Post(pair, 40'000);
  EXPECT_FALSE(source.taken);
}

INSTANTIATE_TEST_SUITE_P(Protocols, BodyBudgetTest,
                         ::testing::Values(Protocol{"http1", NewHttp1ClientSession},
                                           Protocol{"http2", NewHttp2ClientSession}),
                         [](const auto& protocol) { return std::string(protocol.param.name); });

class Http2BodyBudgetTest : public BodyBudgetTest {};

TEST_P(Http2BodyBudgetTest, GrpcIsToldInItsOwnWords) {
  Post(Connect(), 60'000);
  Pair& pair = Connect();
  RequestHead head = MakeRequest("POST", "/service/method");
  head.headers.Add("content-type", "application/grpc");
  Buffer message = Flatten(GrpcFrame(Text(std::string(60'000, 'm'))));
  const Answer& waiting = Send(pair, head, message.text());
  WaitInVain(pair);
  EXPECT_EQ(waiting.status, 200);
  EXPECT_THAT(waiting.events.front(), ::testing::HasSubstr("grpc-status=8"));
}

TEST_P(Http2BodyBudgetTest, MessagesOfGrpcLieWhereTheSourceHasThem) {
  OneBlock source;
  limits.body_source = &source;
  limits.body_budget = nullptr;
  RequestHead head = MakeRequest("POST", "/service/method");
  head.headers.Add("content-type", "application/grpc");
  const Buffer message = Flatten(GrpcFrame(Text(std::string(40'000, 'm'))));
  Send(Connect(), head, message.text());
  ASSERT_EQ(handler.bodies.size(), 1u);
  EXPECT_EQ(handler.bodies[0].place().kind, MemoryKind::kCpuPinned);
  EXPECT_EQ(handler.bodies[0].text(), std::string(40'000, 'm'));
}

TEST_P(Http2BodyBudgetTest, OtherStreamsGoOnUntilMuchIsHeld) {
  Post(Connect(), 60'000);
  Pair& pair = Connect();
  RequestHead head = MakeRequest("POST", "/");
  head.content_length = 60'000;
  const Answer& waiting = Send(pair, head, "the beginning");
  EXPECT_EQ(Post(pair, 1000).status, 200);
  // What has come counts, and no more is read once it is much.
  for (int i = 0; i < 9; ++i) Post(pair, 60'000);
  std::byte scratch[100];
  EXPECT_TRUE(pair.server->ReadRoom(scratch).empty());
  EXPECT_GT(budget.used(), kLimitBytes);
  EXPECT_EQ(waiting.status, 0);
  WaitInVain(pair);
  WaitInVain(pair);
  EXPECT_EQ(waiting.status, 503);
  EXPECT_FALSE(pair.server->ReadRoom(scratch).empty());
  EXPECT_EQ(budget.used(), 61'000u);
  for (const Answer& answer : answers) EXPECT_TRUE(answer.ended);
}

INSTANTIATE_TEST_SUITE_P(Protocols, Http2BodyBudgetTest,
                         ::testing::Values(Protocol{"http2", NewHttp2ClientSession}),
                         [](const auto& protocol) { return std::string(protocol.param.name); });

}  // namespace
}  // namespace tepal::http
