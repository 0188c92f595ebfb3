#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "network/http/session_test_support.h"

namespace tepal::http {
namespace {

using ::testing::ElementsAre;

class Http1ClientTest : public ::testing::Test {
 protected:
  Http1ClientTest() { Begin(); }
  void Begin() { session = NewHttp1ClientSession(limits, host); }
  std::string Give(std::string_view bytes) { return http::Give(*session, bytes, host.now); }
  std::string Take() { return TakeAllOutput(*session, host.now); }
  RequestSender* Get(std::string_view target = "/") {
    answer = Answer();
    return session->Send(MakeRequest("GET", target), true,
                         std::make_unique<RecordingReceiver>(answer));
  }

  Limits limits;
  TestHost host;
  Answer answer;
  std::unique_ptr<ClientSession> session;
};

TEST_F(Http1ClientTest, AsksAndKeepsTheConnection) {
  ASSERT_EQ(session->Capacity(), 1u);
  RequestHead head = MakeRequest("GET", "/v2?a=b");
  head.headers.Add("accept", "*/*");
  head.headers.Add("connection", "close");
  ASSERT_NE(session->Send(head, true, std::make_unique<RecordingReceiver>(answer)), nullptr);
  EXPECT_EQ(session->Capacity(), 0u);
  EXPECT_EQ(Get(), nullptr);
  EXPECT_EQ(Take(), "GET /v2?a=b HTTP/1.1\r\nHost: h:80\r\nAccept: */*\r\n\r\n");
  Give("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-A: b\r\nConnection: x-a\r\n\r\nabc");
  EXPECT_THAT(answer.events, ElementsAre("200 length 3 body", "end"));
  EXPECT_EQ(answer.body, "abc");
  EXPECT_EQ(session->Capacity(), 1u);
  EXPECT_TRUE(session->Idle());
  EXPECT_FALSE(session->Finished());
}

TEST_F(Http1ClientTest, SendsBodiesByLengthAndInChunks) {
  RequestHead head = MakeRequest("POST", "/");
  head.content_length = 5;
  RequestSender* sender = session->Send(head, false, std::make_unique<RecordingReceiver>(answer));
  sender->Write(Text("ab"));
  sender->Write(Text("cde"));
  sender->Finish();
  EXPECT_EQ(Take(), "POST / HTTP/1.1\r\nHost: h:80\r\nContent-Length: 5\r\n\r\nabcde");
  Give("HTTP/1.1 204\r\n\r\n");
  EXPECT_TRUE(answer.ended);
  head.content_length.reset();
  answer = Answer();
  sender = session->Send(head, false, std::make_unique<RecordingReceiver>(answer));
  sender->Write(Text("ab"));
  Headers trailers;
  trailers.Add("x-t", "1");
  sender->Finish(&trailers);
  EXPECT_EQ(Take(),
            "POST / HTTP/1.1\r\nHost: h:80\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n"
            "X-T: 1\r\n\r\n");
  Give("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(session->Capacity(), 1u);
  ASSERT_NE(session->Send(head, true, std::make_unique<RecordingReceiver>(answer)), nullptr);
  EXPECT_EQ(Take(), "POST / HTTP/1.1\r\nHost: h:80\r\nContent-Length: 0\r\n\r\n");
}

TEST_F(Http1ClientTest, ATargetCannotEndItsLine) {
  Get("/a b\r\nX: y");
  EXPECT_EQ(Take(), "GET /a%20b%0D%0AX:%20y HTTP/1.1\r\nHost: h:80\r\n\r\n");
}

TEST_F(Http1ClientTest, EverySplitGivesTheSameAnswer) {
  const std::string response =
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: b\r\n\r\n"
      "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nT: u\r\n\r\n";
  for (size_t at = 0; at < response.size(); ++at) {
    Begin();
    Get();
    Take();
    Give(std::string_view(response).substr(0, at));
    EXPECT_FALSE(answer.ended);
    Give(std::string_view(response).substr(at));
    EXPECT_THAT(answer.events, ElementsAre("200 a=b body", "end t=u")) << at;
    EXPECT_EQ(answer.body, "abcdefg");
    EXPECT_EQ(session->Capacity(), 1u);
  }
}

TEST_F(Http1ClientTest, TheEndOfTheConnectionMayEndTheBody) {
  Get();
  Take();
  Give("HTTP/1.0 200 OK\r\n\r\nabc");
  EXPECT_FALSE(answer.ended);
  session->OnReadEnd(host.now);
  EXPECT_TRUE(answer.ended);
  EXPECT_EQ(answer.body, "abc");
  EXPECT_TRUE(session->Finished());
  EXPECT_EQ(session->Capacity(), 0u);
}

TEST_F(Http1ClientTest, AnswersToHeadHaveNoBodyWhateverTheySay) {
  ASSERT_NE(
      session->Send(MakeRequest("HEAD", "/"), true, std::make_unique<RecordingReceiver>(answer)),
      nullptr);
  Take();
  Give("HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n");
  EXPECT_THAT(answer.events, ElementsAre("200 length 30", "end"));
  EXPECT_EQ(session->Capacity(), 1u);
  Get();
  Take();
  Give("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n");
  EXPECT_TRUE(answer.ended);
}

TEST_F(Http1ClientTest, TheConnectionIsKeptOnlyWhenBothWantIt) {
  const std::vector<std::pair<std::string, bool>> cases = {
      {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true},
      {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", false},
      {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: foo, Close\r\n\r\n", false},
      {"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false},
      {"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", true},
      {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n", false},
  };
  for (const auto& [response, kept] : cases) {
    Begin();
    Get();
    Take();
    Give(response);
    EXPECT_TRUE(answer.ended) << response;
    EXPECT_EQ(session->Capacity(), kept ? 1u : 0u) << response;
    EXPECT_EQ(session->Finished(), !kept) << response;
  }
}

TEST_F(Http1ClientTest, MalformedAnswersFail) {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  for (const std::string& bad : std::vector<std::string>{
           "nonsense\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n",
           "HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.1 099 OK\r\n\r\n", "HTTP/1.1 -20 OK\r\n\r\n",
           "HTTP/1.1 200 OK\n\r\n", ok + "A b\r\n\r\n", ok + "A : b\r\n\r\n", ok + " A: b\r\n\r\n",
           ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
           ok + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
           ok + "Transfer-Encoding: gzip\r\n\r\n", ok + "Transfer-Encoding: chunked\r\n\r\nx\r\n",
           ok + "Content-Length: x\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n",
           ok + "A: " + std::string(70000, 'a'),
           "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"}) {
    Begin();
    Get();
    Take();
    Give(bad);
    EXPECT_TRUE(answer.failed) << bad.substr(0, 80);
    EXPECT_FALSE(answer.unprocessed);
    EXPECT_TRUE(session->Finished());
    EXPECT_EQ(session->Capacity(), 0u);
  }
}

TEST_F(Http1ClientTest, UnprocessedOnlyWhenNothingWasWritten) {
  Get();
  session->OnReadEnd(host.now);
  EXPECT_TRUE(answer.failed);
  EXPECT_TRUE(answer.unprocessed);
  Begin();
  Get();
  TakeOutput(*session, host.now, 1);
  session->OnReadEnd(host.now);
  EXPECT_TRUE(answer.failed);
  EXPECT_FALSE(answer.unprocessed);
  Begin();
  Get();
  session->OnDisconnect(Unavailable("connection reset"));
  EXPECT_TRUE(answer.unprocessed);
  EXPECT_EQ(answer.why, StatusCode::kUnavailable);
}

TEST_F(Http1ClientTest, AnAnswerBeforeTheRequestIsNotTaken) {
  Get();
  http::GiveOnce(*session, "HTTP/1.1 408 Request Timeout\r\n\r\n", host.now);
  EXPECT_TRUE(answer.failed);
  EXPECT_TRUE(answer.unprocessed);
  EXPECT_TRUE(session->Finished());
}

TEST_F(Http1ClientTest, BytesWhileIdleAndTheEndCloseTheConnection) {
  Give("HTTP/1.1 408 Request Timeout\r\n\r\n");
  EXPECT_TRUE(session->Finished());
  EXPECT_EQ(Get(), nullptr);
  Begin();
  session->OnReadEnd(host.now);
  EXPECT_TRUE(session->Finished());
}

TEST_F(Http1ClientTest, ATruncatedAnswerFails) {
  for (const char* part : {"HTTP/1.1 200 OK\r\nContent-Le",
                           "HTTP/1.1 200 OK\r\n"
                           "Content-Length: 5\r\n\r\nabcd",
                           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n"}) {
    Begin();
    Get();
    Take();
    Give(part);
    session->OnReadEnd(host.now);
    EXPECT_TRUE(answer.failed) << part;
    EXPECT_FALSE(answer.ended);
  }
}

TEST_F(Http1ClientTest, CancelClosesUnlessNothingWasWritten) {
  RequestSender* sender = Get();
  sender->Cancel();
  EXPECT_EQ(Take(), "");
  EXPECT_EQ(session->Capacity(), 1u);
  sender = Get();
  Take();
  sender->Cancel();
  EXPECT_TRUE(session->Finished());
  EXPECT_FALSE(answer.failed);
}

TEST_F(Http1ClientTest, AnEarlyAnswerGivesTheRestOfTheRequestUp) {
  RequestHead head = MakeRequest("POST", "/");
  head.content_length = 500;
  RequestSender* sender = session->Send(head, false, std::make_unique<RecordingReceiver>(answer));
  sender->Write(Text(std::string(300, 'x')));
  Take();
  Give("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(answer.status, 413);
  EXPECT_TRUE(answer.ended);
  EXPECT_TRUE(session->Finished());
}

TEST_F(Http1ClientTest, APausedAnswerIsNotReadUntilResumed) {
  RequestSender* sender = Get();
  Take();
  answer.room_bytes = 0;
  Give("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab");
  std::byte scratch[10];
  EXPECT_TRUE(session->ReadRoom(scratch).empty());
  answer.room_bytes = 10;
  sender->ResumeBody();
  Take();
  EXPECT_EQ(answer.body, "ab");
  Give("cde");
  EXPECT_TRUE(answer.ended);
}

TEST_F(Http1ClientTest, LargeAnswersAreReadStraightIntoTheSink) {
  Get();
  Take();
  answer.room_bytes = 9000;
  Give("HTTP/1.1 200 OK\r\nContent-Length: 8000\r\n\r\n");
  std::byte scratch[10];
  const auto room = session->ReadRoom(scratch);
  EXPECT_NE(room.data(), scratch);
  EXPECT_EQ(room.size(), 8000u);
  std::memset(room.data(), 'x', room.size());
  session->OnRead(room.size(), host.now);
  EXPECT_EQ(answer.body, std::string(8000, 'x'));
  EXPECT_TRUE(answer.ended);
}

TEST_F(Http1ClientTest, IdleAndDrainEndTheConnection) {
  EXPECT_EQ(session->NextDeadline(), host.now + limits.idle_max);
  session->OnTime(host.now + limits.idle_max);
  EXPECT_TRUE(session->Finished());
  Begin();
  Get();
  Take();
  EXPECT_EQ(session->NextDeadline(), std::nullopt);
  session->Drain(host.now);
  EXPECT_FALSE(session->Finished());
  Give("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(answer.ended);
  EXPECT_TRUE(session->Finished());
}

TEST_F(Http1ClientTest, InterimAnswersAreBounded) {
  Get();
  Take();
  for (int i = 0; i < 40; ++i) Give("HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_TRUE(answer.failed);
}

}  // namespace
}  // namespace tepal::http
