#include "serving/frontend/grpc/grpc_stream_exchange.h"
#include "serving/frontend/grpc/grpc_test_support.h"

namespace tepal {
namespace {

constexpr char kStreamInfer[] = "/inference.GRPCInferenceService/ModelStreamInfer";

class GrpcStreamTest : public GrpcDoorTest {
 protected:
  void Open(std::string_view timeout = {}, bool grpc_errors = false) {
    http::Headers metadata;
    if (!timeout.empty()) metadata.Add("grpc-timeout", timeout);
    if (grpc_errors) metadata.Add("triton_grpc_error", "true");
    Begin(kStreamInfer, metadata);
  }
  bool Ask(std::string_view model, std::string_view id) {
    return SendMessage(InferMessage(model, "X", id));
  }
  void HalfClose() { receiver->OnRequestEnd({}); }
  void Answer(size_t index) { FakeCore::Answer(std::move(core.held.at(index))); }
  void Fail(size_t index, std::string_view why) {
    InferenceRequest::Fail(std::move(core.held.at(index)), Internal(std::string(why)));
  }
  // The ids of the answers so far, in order; an error as "id: text".
  std::vector<std::string> Answers() const {
    std::vector<std::string> all;
    for (const std::string& message : Messages()) {
      std::string_view error, response, id;
      kserve::ProtoReader reader(message);
      while (reader.Next()) reader.field() == 1 ? reader.Bytes(error) : reader.Bytes(response);
      kserve::ProtoReader fields(response);
      while (fields.Next()) fields.field() == 3 ? fields.Bytes(id) : fields.Skip();
      EXPECT_TRUE(reader.ok() && fields.ok());
      all.push_back(std::string(id) + (error.empty() ? "" : ": " + std::string(error)));
    }
    return all;
  }
  std::string EndedWith() const {
    const auto status = sender->headers.find("grpc-status");
    return status == sender->headers.end() ? "open" : status->second;
  }
  using Ids = std::vector<std::string>;
};

TEST_F(GrpcStreamTest, AnswersInTheOrderOfTheRequests) {
  core.hold = true;
  Open();
  for (const char* id : {"1", "2", "3"}) ASSERT_TRUE(Ask("echo", id));
  ASSERT_EQ(core.held.size(), 3u);  // All of them at once with the model.
  Answer(1);
  EXPECT_EQ(Answers(), Ids{});
  Answer(0);
  EXPECT_EQ(Answers(), (Ids{"1", "2"}));
  HalfClose();
  EXPECT_EQ(EndedWith(), "open");
  Answer(2);
  EXPECT_EQ(Answers(), (Ids{"1", "2", "3"}));
  EXPECT_EQ(EndedWith(), "0");
}

TEST_F(GrpcStreamTest, MarksEveryAnswerAsFinal) {
  Open();
  ASSERT_TRUE(Ask("echo", "1"));
  ASSERT_EQ(Messages().size(), 1u);
  EXPECT_NE(Messages()[0].find("triton_final_response\x12\x02\x08\x01"), std::string::npos);
}

TEST_F(GrpcStreamTest, AnErrorIsAnAnswer) {
  Open();
  ASSERT_TRUE(Ask("nope", "1"));
  ASSERT_TRUE(Ask("stream", "2"));
  ASSERT_TRUE(Ask("echo", "3"));
  core.hold = true;
  ASSERT_TRUE(Ask("echo", "4"));
  Fail(0, "no");
  EXPECT_EQ(Answers(),
            (Ids{"1: Request for unknown model: 'nope' is not found",
                 "2: models with decoupled transaction policy are not supported yet: 'stream'", "3",
                 "4: no"}));
  HalfClose();
  EXPECT_EQ(EndedWith(), "0");
}

TEST_F(GrpcStreamTest, AModelsErrorEndsTheCallWhereThatIsWanted) {
  core.hold = true;
  Open({}, true);
  ASSERT_TRUE(Ask("nope", "1"));
  for (const char* id : {"2", "3", "4"}) ASSERT_TRUE(Ask("echo", id));
  Answer(0);
  Fail(1, "no");
  EXPECT_EQ(Answers(), (Ids{"1: Request for unknown model: 'nope' is not found", "2"}));
  EXPECT_EQ(EndedWith(), "13");
  EXPECT_TRUE(core.held[2]->cancelled());
  Answer(2);
  EXPECT_TRUE(Ask("echo", "5"));  // Read, but not worked on.
  EXPECT_EQ(core.held.size(), 3u);
  HalfClose();
  EXPECT_EQ(Answers().size(), 2u);
}

TEST_F(GrpcStreamTest, AResetCancelsAllOfIt) {
  core.hold = true;
  Open();
  ASSERT_TRUE(Ask("echo", "1"));
  ASSERT_TRUE(Ask("echo", "2"));
  receiver->OnReset(Cancelled("reset"));
  EXPECT_TRUE(core.held[0]->cancelled());
  EXPECT_TRUE(core.held[1]->cancelled());
  receiver.reset();
  Answer(1);
  Answer(0);
  loop.RunAll();
  EXPECT_EQ(sender->answers, 0);
}

TEST_F(GrpcStreamTest, AnswersFromOtherThreadsComeThroughTheLoop) {
  core.hold = true;
  Open();
  ASSERT_TRUE(Ask("echo", "1"));
  loop.in_loop = false;
  Answer(0);
  EXPECT_EQ(Answers(), Ids{});
  loop.in_loop = true;
  loop.RunAll();
  EXPECT_EQ(Answers(), Ids{"1"});
}

TEST_F(GrpcStreamTest, ADeadlineEndsTheCall) {
  core.hold = true;
  Open("5S");
  ASSERT_TRUE(Ask("echo", "1"));
  EXPECT_EQ(core.held[0]->deadline, loop.Now() + 5s);
  ASSERT_EQ(loop.timers.size(), 1u);
  loop.timers.begin()->second();
  EXPECT_EQ(EndedWith(), "4");
  EXPECT_TRUE(core.held[0]->cancelled());
}

TEST_F(GrpcStreamTest, AMalformedRequestEndsTheCall) {
  Open();
  ASSERT_TRUE(Ask("echo", "1"));
  ASSERT_TRUE(SendMessage("\xff\xff\xff"));
  EXPECT_EQ(Answers(), Ids{"1"});
  EXPECT_EQ(EndedWith(), "13");
}

TEST_F(GrpcStreamTest, ReadsNoMoreThanTheLimit) {
  core.hold = true;
  Open();
  size_t asked = 0;
  while (asked < 2 * GrpcStreamExchange::kRequestsMax && Ask("echo", std::to_string(asked))) {
    ++asked;
  }
  EXPECT_EQ(asked, GrpcStreamExchange::kRequestsMax);
  EXPECT_EQ(sender->resumed, 0);
  Answer(0);
  EXPECT_EQ(sender->resumed, 1);
  EXPECT_TRUE(Ask("echo", "more"));
  EXPECT_FALSE(Ask("echo", "too many"));
}

TEST_F(GrpcStreamTest, WaitsForAClientThatDoesNotRead) {
  Open();
  sender->unsent = GrpcStreamExchange::kUnsentBytesMax;
  ASSERT_TRUE(Ask("echo", "1"));
  EXPECT_FALSE(Ask("echo", "2"));
  sender->unsent = 0;
  receiver->OnSendRoom();
  EXPECT_EQ(sender->resumed, 1);
  EXPECT_TRUE(Ask("echo", "2"));
  EXPECT_EQ(Answers(), (Ids{"1", "2"}));
}

TEST_F(GrpcStreamTest, ADrainEndsAnIdleCall) {
  Open();
  ASSERT_TRUE(Ask("echo", "1"));
  EXPECT_EQ(EndedWith(), "open");
  receiver->OnDrain(0);
  EXPECT_EQ(Answers(), Ids{"1"});
  EXPECT_EQ(EndedWith(), "14");
  EXPECT_TRUE(Ask("echo", "2"));  // Thrown away.
  EXPECT_EQ(Answers(), Ids{"1"});
}

TEST_F(GrpcStreamTest, ADrainAnswersWhatCameBefore) {
  core.hold = true;
  Open();
  ASSERT_TRUE(Ask("echo", "1"));
  // One waits with the session, the next has come in part.
  const std::string message = InferMessage("echo", "X", "2");
  receiver->OnDrain(5 + message.size() + 2);
  for (const char* id : {"2", "3", "4"}) ASSERT_TRUE(Ask("echo", id));
  ASSERT_EQ(core.held.size(), 3u);
  Answer(2);
  Answer(0);
  EXPECT_EQ(EndedWith(), "open");
  Answer(1);
  EXPECT_EQ(Answers(), (Ids{"1", "2", "3"}));
  EXPECT_EQ(EndedWith(), "14");
}

TEST_F(GrpcStreamTest, ADrainDoesNotFailWhoHasMissedNothing) {
  core.hold = true;
  Open();
  ASSERT_TRUE(Ask("echo", "1"));
  receiver->OnDrain(0);
  HalfClose();
  Answer(0);
  EXPECT_EQ(EndedWith(), "0");
}

TEST_F(GrpcStreamTest, ADrainFailsWhoIsNotHeardOut) {
  core.hold = true;
  Open();
  ASSERT_TRUE(Ask("echo", "1"));
  receiver->OnDrain(0);
  ASSERT_TRUE(Ask("echo", "2"));
  HalfClose();
  Answer(0);
  EXPECT_EQ(Answers(), Ids{"1"});
  EXPECT_EQ(EndedWith(), "14");
}

TEST_F(GrpcStreamTest, TellsAModelsLoadAtTheEndToABalancerThatAsks) {
  core.hold = true;
  for (const bool asks : {false, true}) {
    http::Headers metadata;
    if (asks) metadata.Add("tepal-load-report", "1");
    Begin(kStreamInfer, metadata);
    ASSERT_TRUE(Ask("echo", "1"));
    core.echo->statistics_.AddInFlight(3);
    Answer(core.held.size() - 1);
    EXPECT_EQ(EndedWith(), "open");
    HalfClose();
    EXPECT_EQ(EndedWith(), "0");
    EXPECT_EQ(sender->headers.contains("tepal-load"), asks);
    core.echo->statistics_.AddInFlight(-3);
  }
  // A report of an unloaded model there is none.
  http::Headers metadata;
  metadata.Add("tepal-load-report", "1");
  Begin(kStreamInfer, metadata);
  ASSERT_TRUE(Ask("nope", "1"));
  HalfClose();
  EXPECT_EQ(EndedWith(), "0");
  EXPECT_FALSE(sender->headers.contains("tepal-load"));
}

TEST_F(GrpcStreamTest, EndsWithoutAnyRequest) {
  Open();
  HalfClose();
  EXPECT_EQ(EndedWith(), "0");
  EXPECT_TRUE(Messages().empty());
}

}  // namespace
}  // namespace tepal
