// What ends an exchange or a connection: time, drains, either side.

#include "network/http/http1_server_test_support.h"

namespace tepal::http {
namespace {

using ::testing::EndsWith;
using ::testing::StartsWith;

using Http1LifetimeTest = Http1ServerTest;

TEST_F(Http1LifetimeTest, SlowHeadersGet408) {
  Begin();
  EXPECT_EQ(session->NextDeadline(), host.now + limits.idle_max);
  Give("GET / HT");
  const Instant due = host.now + limits.header_time_max;
  EXPECT_EQ(session->NextDeadline(), due);
  host.now += 9s;
  Give("TP/1.1\r\nA");  // A byte now and then wins no time.
  EXPECT_EQ(session->NextDeadline(), due);
  EXPECT_TRUE(session->OnTime(due - 1ns));
  EXPECT_FALSE(session->Finished());
  session->OnTime(due);
  EXPECT_THAT(Take(), StartsWith("HTTP/1.1 408 "));
  EXPECT_TRUE(session->Finished());
}

TEST_F(Http1LifetimeTest, ABodyThatStopsGets408AndItsReceiverIsTold) {
  Begin();
  Give("POST / HTTP/1.1\r\nHost:\r\nContent-Length: 5\r\n\r\nab");
  host.now += 20s;
  Give("c");
  const Instant due = host.now + limits.body_idle_max;
  EXPECT_EQ(session->NextDeadline(), due);
  session->OnTime(due);
  EXPECT_THAT(Take(), StartsWith("HTTP/1.1 408 "));
  EXPECT_TRUE(session->Finished());
  EXPECT_EQ(handler->events.back(), "reset DEADLINE_EXCEEDED");
}

TEST_F(Http1LifetimeTest, IdleConnectionsAreClosedSilently) {
  Begin();
  Give("GET / HTTP/1.1\r\nHost:\r\n\r\n");
  EXPECT_EQ(session->NextDeadline(), host.now + limits.idle_max);
  session->OnTime(host.now + limits.idle_max);
  EXPECT_EQ(Take(), "");
  EXPECT_TRUE(session->Finished());
}

TEST_F(Http1LifetimeTest, WaitingForTheApplicationHasNoLimit) {
  Begin(kLater);
  Give("GET / HTTP/1.1\r\nHost:\r\n\r\n");
  EXPECT_EQ(session->NextDeadline(), std::nullopt);
}

TEST_F(Http1LifetimeTest, AClientThatTakesNothingIsCutOff) {
  Begin(kLater);
  Give("GET / HTTP/1.1\r\nHost:\r\n\r\n");
  handler->senders[0]->Start(ResponseHead());
  handler->senders[0]->Write(Text("x"));
  std::vector<env::ConstBytes> pieces;
  session->Output(pieces);
  const Instant due = host.now + limits.write_idle_max;
  EXPECT_EQ(session->NextDeadline(), due);
  EXPECT_FALSE(session->OnTime(due));
  EXPECT_EQ(handler->events.back(), "reset DEADLINE_EXCEEDED");
  EXPECT_TRUE(session->Finished());
}

TEST_F(Http1LifetimeTest, DrainLetsAnIdleConnectionHaveOneMoreRequest) {
  for (const bool sends : {true, false}) {
    Begin();
    Give("GET /1 HTTP/1.1\r\nHost:\r\n\r\n");
    session->Drain(host.now);
    EXPECT_FALSE(session->Finished());
    EXPECT_EQ(session->NextDeadline(), host.now + limits.drain_first_request_max);
    if (sends) {
      EXPECT_EQ(Give("GET /2 HTTP/1.1\r\nHost:\r\n\r\nGET /3 HTTP/1.1\r\nHost:\r\n\r\n"),
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    } else {
      session->OnTime(host.now + limits.drain_first_request_max);
    }
    EXPECT_TRUE(session->Finished());
  }
}

TEST_F(Http1LifetimeTest, DrainLetsAFreshConnectionHaveItsRequest) {
  Begin();
  session->Drain(host.now);
  EXPECT_FALSE(session->Finished());
  EXPECT_EQ(session->NextDeadline(), host.now + limits.drain_first_request_max);
  EXPECT_EQ(Give("GET / HTTP/1.1\r\nHost:\r\n\r\n"),
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(session->Finished());
  Begin();
  session->Drain(host.now);
  session->OnTime(host.now + limits.drain_first_request_max);
  EXPECT_TRUE(session->Finished());
}

TEST_F(Http1LifetimeTest, DrainFinishesWhatWasBegunAndSaysCloseOnTheLast) {
  Begin(kLater);
  Give("GET /1 HTTP/1.1\r\nHost:\r\n\r\nGET /2 HTTP/1.1\r\nHost:\r\n\r\n");
  session->Drain(host.now);
  Give("GET /3 HTTP/1.1\r\nHost:\r\n\r\n");
  ASSERT_EQ(handler->senders.size(), 2u);
  handler->senders[0]->Respond(ResponseHead(), {});
  EXPECT_EQ(Take(), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_FALSE(session->Finished());
  handler->senders[1]->Respond(ResponseHead(), {});
  EXPECT_EQ(Take(), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(session->Finished());
  EXPECT_EQ(handler->senders.size(), 2u);
}

TEST_F(Http1LifetimeTest, DrainAfterTheAnswersHeadClosesBehindIt) {
  Begin(kLater);
  Give("GET /1 HTTP/1.1\r\nHost:\r\n\r\n");
  handler->senders[0]->Start(ResponseHead());
  Take();
  session->Drain(host.now);
  handler->senders[0]->Finish();
  EXPECT_EQ(Take(), "0\r\n\r\n");
  EXPECT_TRUE(session->Finished());
}

TEST_F(Http1LifetimeTest, ResetCutsTheAnswerAndEndsTheConnection) {
  Begin(kLater);
  Give("GET /1 HTTP/1.1\r\nHost:\r\n\r\nGET /2 HTTP/1.1\r\nHost:\r\n\r\n");
  handler->senders[0]->Start(ResponseHead());
  handler->senders[0]->Write(Text("part"));
  handler->senders[0]->Reset(0);
  EXPECT_EQ(Take(), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n");
  EXPECT_TRUE(session->Finished());
  // The second request can not be answered any more.
  EXPECT_EQ(handler->events.back(), "reset CANCELLED");
}

TEST_F(Http1LifetimeTest, HalfCloseIsNoCancel) {
  Begin(kLater);
  Give("GET /1 HTTP/1.1\r\nHost:\r\n\r\n");
  EXPECT_TRUE(session->OnReadEnd(host.now));
  std::byte scratch[10];
  EXPECT_TRUE(session->ReadRoom(scratch).empty());
  EXPECT_FALSE(session->Finished());
  handler->senders[0]->Respond(ResponseHead(), Text("x"));
  EXPECT_THAT(Take(), EndsWith("\r\nConnection: close\r\n\r\nx"));
  EXPECT_TRUE(session->Finished());
}

TEST_F(Http1LifetimeTest, AfterAHalfCloseInterimAnswersShowWhetherTheClientHasGone) {
  Begin(kLater);
  Give("GET /1 HTTP/1.1\r\nHost:\r\n\r\n");
  EXPECT_TRUE(session->OnReadEnd(host.now));
  EXPECT_EQ(session->NextDeadline(), host.now);
  std::vector<Duration> pauses;
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(session->OnTime(host.now));
    EXPECT_EQ(Take(), "HTTP/1.1 102 Processing\r\n\r\n");
    pauses.push_back(*session->NextDeadline() - host.now);
    host.now += pauses.back();
  }
  EXPECT_EQ(pauses.front(), 50ms);
  EXPECT_EQ(pauses.back(), 5s);
  handler->senders[0]->Respond(ResponseHead(), Text("x"));
  EXPECT_THAT(Take(), EndsWith("\r\nConnection: close\r\n\r\nx"));
  EXPECT_TRUE(session->Finished());
}

TEST_F(Http1LifetimeTest, AnHttp10ClientGetsNoInterimAnswer) {
  Begin(kLater);
  Give("GET /1 HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(session->OnReadEnd(host.now));
  EXPECT_EQ(session->NextDeadline(), std::nullopt);
}

TEST_F(Http1LifetimeTest, AnAnswerThatHasBegunIsNotProbed) {
  Begin(kLater);
  Give("GET /1 HTTP/1.1\r\nHost:\r\n\r\n");
  handler->senders[0]->Start(ResponseHead());
  Take();
  EXPECT_TRUE(session->OnReadEnd(host.now));
  EXPECT_EQ(session->NextDeadline(), std::nullopt);
}

TEST_F(Http1LifetimeTest, EndOfInputWithinARequestResetsIt) {
  Begin();
  Give("POST / HTTP/1.1\r\nHost:\r\nContent-Length: 5\r\n\r\nab");
  session->OnReadEnd(host.now);
  EXPECT_EQ(handler->events.back(), "reset CANCELLED");
  EXPECT_TRUE(session->Finished());
  Begin();
  Give("POST / HT");
  session->OnReadEnd(host.now);
  EXPECT_TRUE(session->Finished());
  EXPECT_EQ(Take(), "");
}

TEST_F(Http1LifetimeTest, DisconnectTellsEveryExchange) {
  Begin(kLater);
  Give("GET /1 HTTP/1.1\r\nHost:\r\n\r\nGET /2 HTTP/1.1\r\nHost:\r\n\r\n");
  session->OnDisconnect(Unavailable("reset by peer"));
  EXPECT_EQ(handler->events.size(), 6u);
  EXPECT_EQ(handler->events[4], "reset UNAVAILABLE");
  EXPECT_EQ(handler->events[5], "reset UNAVAILABLE");
}

TEST_F(Http1LifetimeTest, ChunkedBodyOverTheLimitGets413) {
  limits.body_bytes_max = 10;
  Begin();
  const std::string head = "POST / HTTP/1.1\r\nHost:\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_THAT(Give(head + "6\r\nabcdef\r\n4\r\nabcd\r\n0\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(Give(head + "6\r\nabcdef\r\n5\r\nabcde\r\n0\r\n\r\n"), StartsWith("HTTP/1.1 413 "));
  EXPECT_EQ(handler->events.back(), "reset INVALID_ARGUMENT");
  EXPECT_TRUE(session->Finished());
}

}  // namespace
}  // namespace tepal::http
