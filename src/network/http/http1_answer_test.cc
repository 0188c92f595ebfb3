// Answers, their order, and bodies both ways.

#include "network/http/http1_server_test_support.h"

namespace tepal::http {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

using Http1AnswerTest = Http1ServerTest;

TEST_F(Http1AnswerTest, Http10ClosesUnlessAsked) {
  Begin();
  EXPECT_EQ(Give("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
            "HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_FALSE(session->Finished());
  EXPECT_EQ(Give("GET / HTTP/1.0\r\n\r\n"),
            "HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(session->Finished());
}

TEST_F(Http1AnswerTest, PipelinedRequestsAreAnsweredInOrder) {
  Begin(kLater);
  Give(
      "GET /1 HTTP/1.1\r\nHost:\r\n\r\nGET /2 HTTP/1.1\r\nHost:\r\n\r\nGET /3 "
      "HTTP/1.1\r\nHost:\r\n\r\n");
  ASSERT_EQ(handler->senders.size(), 3u);
  handler->senders[2]->Respond(ResponseHead(), Text("three"));
  handler->senders[1]->Start(ResponseHead());
  handler->senders[1]->Write(Text("two"));
  EXPECT_EQ(Take(), "");
  EXPECT_EQ(host.turns_asked, 1);  // Once is enough until its turn comes.
  handler->senders[0]->Respond(ResponseHead(), Text("one"));
  EXPECT_EQ(Take(),
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n");
  handler->senders[1]->Finish();
  EXPECT_EQ(Take(), "0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nthree");
  EXPECT_TRUE(session->Idle());
}

TEST_F(Http1AnswerTest, PipeliningIsBounded) {
  limits.requests_pipelined_max = 3;
  Begin(kLater);
  std::string five;
  for (int i = 0; i < 5; ++i) five += "GET / HTTP/1.1\r\nHost:\r\n\r\n";
  Give(five);
  EXPECT_EQ(handler->senders.size(), 3u);
  std::byte scratch[10];
  EXPECT_TRUE(session->ReadRoom(scratch).empty());
  handler->senders[0]->Respond(ResponseHead(), {});
  Take();
  EXPECT_EQ(handler->senders.size(), 4u);
  for (size_t i = 1; i < 5; ++i) {
    handler->senders[i]->Respond(ResponseHead(), {});
    Take();
  }
  EXPECT_TRUE(session->Idle());
  EXPECT_FALSE(session->ReadRoom(scratch).empty());
}

TEST_F(Http1AnswerTest, AnErrorWaitsForTheAnswersBeforeIt) {
  Begin(kLater);
  EXPECT_EQ(Give("GET /1 HTTP/1.1\r\nHost:\r\n\r\nnonsense\r\n\r\n"), "");
  EXPECT_FALSE(session->Finished());
  handler->senders[0]->Respond(ResponseHead(), {});
  const std::string answers = Take();
  EXPECT_THAT(answers, StartsWith("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 400 "));
  EXPECT_TRUE(session->Finished());
}

TEST_F(Http1AnswerTest, AnswersToHeadAnd204HaveNoBody) {
  Begin([](const RequestHead& request, const std::string&, ResponseSender& sender) {
    ResponseHead head;
    if (request.target == "/204") head.status = 204;
    if (request.target == "/304") head.status = 304;
    if (request.target == "/stream") {
      sender.Start(std::move(head));
      sender.Write(Text("abc"));
      return sender.Finish();
    }
    sender.Respond(std::move(head), Text("body"));
  });
  EXPECT_EQ(Give("HEAD / HTTP/1.1\r\nHost:\r\n\r\n"),
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
  EXPECT_EQ(Give("HEAD /stream HTTP/1.1\r\nHost:\r\n\r\n"), "HTTP/1.1 200 OK\r\n\r\n");
  EXPECT_EQ(Give("GET /204 HTTP/1.1\r\nHost:\r\n\r\n"), "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_EQ(Give("GET /304 HTTP/1.1\r\nHost:\r\n\r\n"),
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n");
  EXPECT_FALSE(session->Finished());
}

TEST_F(Http1AnswerTest, StreamsInChunksWithTrailersOrToTheEnd) {
  Begin([](const RequestHead&, const std::string&, ResponseSender& sender) {
    sender.Start(ResponseHead());
    sender.Write(Text(std::string(300, 'x')));
    sender.Write({});
    sender.Write(Text("y"));
    Headers trailers;
    trailers.Add("x-sum", "1");
    sender.Finish(&trailers);
  });
  EXPECT_EQ(Give("GET / HTTP/1.1\r\nHost:\r\n\r\n"),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n12c\r\n" + std::string(300, 'x') +
                "\r\n1\r\ny\r\n0\r\nX-Sum: 1\r\n\r\n");
  EXPECT_EQ(Give("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
            "HTTP/1.0 200 OK\r\nConnection: close\r\n\r\n" + std::string(300, 'x') + "y");
  EXPECT_TRUE(session->Finished());
}

TEST_F(Http1AnswerTest, AnAnnouncedLengthThatIsNotKeptEndsTheConnection) {
  for (const char* body : {"abc", "abcdefg"}) {
    Begin([&](const RequestHead&, const std::string&, ResponseSender& sender) {
      ResponseHead head;
      head.content_length = 5;
      sender.Start(std::move(head));
      sender.Write(Text(body));
      sender.Finish();
    });
    const std::string answer = Give("GET / HTTP/1.1\r\nHost:\r\n\r\n");
    EXPECT_THAT(answer, HasSubstr("Content-Length: 5\r\n"));
    EXPECT_LT(answer.size() - answer.find("\r\n\r\n") - 4, 5u);
    EXPECT_TRUE(session->Finished());
  }
}

TEST_F(Http1AnswerTest, ContinueIsSentWhenTheBodyIsWanted) {
  Begin();
  const std::string head =
      "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 3\r\n\r\n";
  EXPECT_EQ(Give(head), "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_EQ(Give("abc"), "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
  // Not when the body is there already.
  EXPECT_EQ(Give(head + "abc"), "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
  // Not while the sink has no room.
  handler->room_bytes = 0;
  EXPECT_EQ(Give(head), "");
}

struct EarlyHandler final : RequestHandler {
  struct Receiver final : RequestReceiver {
    explicit Receiver(EarlyHandler& early) : handler(early) {}
    std::span<std::byte> BodyRoom(size_t) override {
      return handler.room ? std::span<std::byte>(waste) : std::span<std::byte>();
    }
    void OnBody(size_t bytes) override { handler.bytes_taken += bytes; }
    void OnRequestEnd(const Headers&) override { handler.ended = true; }
    void OnReset(const Status&) override { handler.reset = true; }
    EarlyHandler& handler;
    std::byte waste[100];
  };
  std::unique_ptr<RequestReceiver> OnRequest(RequestHead, ResponseSender& its_sender) override {
    sender = &its_sender;
    if (answer) RespondNow();
    return std::make_unique<Receiver>(*this);
  }
  void RespondNow() {
    ResponseHead head;
    head.status = 401;
    sender->Respond(std::move(head), {});
  }
  ResponseSender* sender = nullptr;
  bool answer = true, room = true, ended = false, reset = false;
  size_t bytes_taken = 0;
};

TEST_F(Http1AnswerTest, AnEarlyAnswerLetsTheBodyComeAndTheConnectionLive) {
  EarlyHandler early;
  session = NewHttp1ServerSession(limits, host, early);
  EXPECT_EQ(Give("POST / HTTP/1.1\r\nHost:\r\nContent-Length: 5\r\n\r\nab"),
            "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
  EXPECT_FALSE(session->Finished());
  Give("cde");
  EXPECT_TRUE(early.ended);
  EXPECT_THAT(Give("GET / HTTP/1.1\r\nHost:\r\n\r\n"), StartsWith("HTTP/1.1 401 "));
}

TEST_F(Http1AnswerTest, AnEarlyAnswerInsteadOfContinueEndsTheConnection) {
  EarlyHandler early;
  session = NewHttp1ServerSession(limits, host, early);
  EXPECT_THAT(Give("POST / HTTP/1.1\r\nHost:\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"),
              EndsWith("\r\nConnection: close\r\n\r\n"));
  EXPECT_TRUE(session->Finished());
  EXPECT_TRUE(early.reset);
}

TEST_F(Http1AnswerTest, APausedBodyIsNotReadUntilResumed) {
  EarlyHandler late;
  late.answer = late.room = false;
  session = NewHttp1ServerSession(limits, host, late);
  Give("POST / HTTP/1.1\r\nHost:\r\nContent-Length: 5\r\n\r\nab");
  std::byte scratch[10];
  EXPECT_TRUE(session->ReadRoom(scratch).empty());
  host.now += 3600s;  // Waiting for the application is nobody's fault.
  EXPECT_EQ(session->NextDeadline(), std::nullopt);
  late.room = true;
  late.sender->ResumeBody();
  EXPECT_EQ(host.turns_asked, 1);
  EXPECT_EQ(Take(), "");
  EXPECT_EQ(late.bytes_taken, 2u);
  ASSERT_EQ(session->NextDeadline(), host.now + limits.body_idle_max);
  Give("cde");
  EXPECT_TRUE(late.ended);
}

TEST_F(Http1AnswerTest, LargeBodiesAreReadStraightIntoTheSink) {
  Begin();
  handler->room_bytes = 10000;
  Give("POST / HTTP/1.1\r\nHost:\r\nContent-Length: 6000\r\n\r\n");
  std::byte scratch[100];
  const auto room = session->ReadRoom(scratch);
  EXPECT_NE(room.data(), scratch);
  EXPECT_EQ(room.size(), 6000u);  // Never beyond the body's end.
  std::memset(room.data(), 'b', 4000);
  EXPECT_TRUE(session->OnRead(4000, host.now));
  EXPECT_EQ(session->ReadRoom(scratch).data(), scratch);  // Too little for a read of its own.
  EXPECT_THAT(Give(std::string(2000, 'c')),
              EndsWith("\r\n\r\n" + std::string(4000, 'b') + std::string(2000, 'c')));
}

TEST_F(Http1AnswerTest, BuffersAreSentFromWhereTheyLie) {
  Buffer tensor = Buffer::Allocate(100000);
  std::memset(tensor.data(), 't', tensor.size());
  Begin([&](const RequestHead&, const std::string&, ResponseSender& sender) {
    BufferList body;
    body.push_back(tensor);
    sender.Respond(ResponseHead(), std::move(body));
  });
  const std::string_view request = "GET / HTTP/1.1\r\nHost:\r\n\r\n";
  GiveOnce(*session, request, host.now);
  std::vector<env::ConstBytes> pieces;
  session->Output(pieces);
  ASSERT_EQ(pieces.size(), 2u);
  EXPECT_EQ(pieces[1].data, tensor.data());
  session->OnWritten(pieces[0].size + 5, host.now);
  pieces.clear();
  session->Output(pieces);
  ASSERT_EQ(pieces.size(), 1u);
  EXPECT_EQ(pieces[0].data, tensor.data() + 5);
  EXPECT_EQ(pieces[0].size, tensor.size() - 5);
}

TEST_F(Http1AnswerTest, OnSendRoomFollowsCongestion) {
  limits.send_high_water_bytes = 1000;
  Begin(kLater);
  Give("GET / HTTP/1.1\r\nHost:\r\n\r\n");
  ResponseSender& sender = *handler->senders[0];
  sender.Start(ResponseHead());
  sender.Write(Text(std::string(1500, 'x')));
  EXPECT_GE(sender.unsent_bytes(), 1500u);
  TakeOutput(*session, host.now, 100);
  EXPECT_THAT(handler->events.back(), StartsWith("end"));
  TakeOutput(*session, host.now, 1000);
  EXPECT_EQ(handler->events.back(), "send room");
  EXPECT_LT(sender.unsent_bytes(), 1000u);
  Take();
  EXPECT_EQ(handler->events.size(), 3u);
}

TEST_F(Http1AnswerTest, AClientThatReadsNoAnswersGetsNoFurtherOnes) {
  limits.send_high_water_bytes = 1000;
  Begin([](const RequestHead&, const std::string&, ResponseSender& sender) {
    sender.Respond(ResponseHead(), Text(std::string(600, 'x')));
  });
  const std::string request = "GET / HTTP/1.1\r\nHost:\r\n\r\n";
  GiveOnce(*session, request + request + request + request, host.now);
  EXPECT_EQ(handler->senders.size(), 2u);
  Take();
  EXPECT_EQ(handler->senders.size(), 4u);
}

}  // namespace
}  // namespace tepal::http
