#include "network/http/grpc_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "network/http/grpc_text.h"
#include "network/http/session_test_support.h"

namespace tepal::http {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Framed(std::string_view message) {
  return std::string(Flatten(GrpcFrame(Text(message))).text());
}

// A call to a server that answers, once the request is complete, as the test says.
class GrpcClientTest : public ::testing::Test {
 protected:
  void Begin() {
    GrpcStreamResponse::Calls calls;
    calls.on_start = [this](const Headers& initial) { started = initial; };
    calls.on_message = [this](Buffer message) {
      messages.emplace_back(message.text());
      if (pause) receiver->Pause();
    };
    calls.on_end = [this](GrpcEnd how) {
      EXPECT_FALSE(end.has_value());
      end = std::move(how);
    };
    auto made = std::make_unique<GrpcStreamResponse>(100, std::move(calls));
    receiver = made.get();
    RequestHead head = MakeGrpcRequest("h", "/s/m");
    AddBinaryMetadata("x-bin", "\1\2", head.headers);
    sender = client->Send(head, false, std::move(made));
    GrpcWrite(*sender, Text("question"));
    sender->Finish();
  }
  void Exchange() { MoveAll(*client, *server, host.now); }
  ResponseSender& at_server() { return *handler.senders.at(0); }

  static ResponseHead Head() {
    ResponseHead head;
    head.headers.Add("content-type", "application/grpc");
    head.headers.Add("x-first", "1");
    return head;
  }
  static Headers Trailers(std::string_view code) {
    Headers trailers;
    trailers.Add("grpc-status", code);
    trailers.Add("x-last", "2");
    return trailers;
  }

  Limits limits;
  TestHost host;
  RecordingHandler handler{[](const RequestHead&, const std::string&, ResponseSender&) {}};
  std::unique_ptr<Session> server = NewHttp2ServerSession(limits, host, handler);
  std::unique_ptr<ClientSession> client = NewHttp2ClientSession(limits, host);
  RequestSender* sender = nullptr;
  GrpcStreamResponse* receiver = nullptr;
  bool pause = false;
  Headers started;
  std::vector<std::string> messages;
  std::optional<GrpcEnd> end;
};

TEST_F(GrpcClientTest, MessagesComeOneByOneBetweenMetadata) {
  Begin();
  Exchange();
  EXPECT_THAT(handler.events.at(0), HasSubstr("x-bin=AQI"));
  EXPECT_EQ(handler.events.at(1), "end " + Framed("question"));
  at_server().Start(Head());
  at_server().Write(Text(Framed("one")));
  Exchange();
  EXPECT_EQ(started.Get("x-first"), "1");
  EXPECT_THAT(messages, ElementsAre("one"));
  at_server().Write(Text(Framed("") + Framed("three")));
  const Headers trailers = Trailers("0");
  at_server().Finish(&trailers);
  EXPECT_FALSE(end.has_value());
  Exchange();
  EXPECT_THAT(messages, ElementsAre("one", "", "three"));
  ASSERT_TRUE(end.has_value());
  EXPECT_TRUE(end->status.ok());
  EXPECT_EQ(end->initial.Get("x-first"), "1");
  EXPECT_EQ(end->trailers.Get("x-last"), "2");
}

TEST_F(GrpcClientTest, APausedReceiverGetsTheRestWhenItResumes) {
  pause = true;
  Begin();
  Exchange();
  at_server().Start(Head());
  at_server().Write(Text(Framed("one") + Framed("two") + Framed("three")));
  const Headers trailers = Trailers("0");
  at_server().Finish(&trailers);
  for (size_t got = 1; got <= 3; ++got) {
    Exchange();
    EXPECT_EQ(messages.size(), got);
    EXPECT_EQ(end.has_value(), got == 3);
    if (got < 3) receiver->Resume(*sender);
  }
  ASSERT_TRUE(end.has_value());
  EXPECT_TRUE(end->status.ok());
}

TEST_F(GrpcClientTest, AnAnswerOfTrailersAlone) {
  Begin();
  Exchange();
  ResponseHead head = Head();
  head.headers.Add("grpc-status", "5");
  head.headers.Add("grpc-message", "no%20such");
  AddBinaryMetadata("grpc-status-details-bin", "\3", head.headers);
  at_server().Respond(std::move(head), {});
  Exchange();
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->status.ToString(), "NOT_FOUND: no such");
  EXPECT_THAT(ReadBinaryMetadata(end->trailers, "grpc-status-details-bin"), ElementsAre("\3"));
  EXPECT_TRUE(started.empty());
}

TEST_F(GrpcClientTest, WhatIsNoGrpcIsToldByItsHttpStatus) {
  Begin();
  Exchange();
  ResponseHead head;
  head.status = 503;
  head.headers.Add("content-type", "text/html");
  at_server().Respond(std::move(head), Text("<html>not today</html>"));
  Exchange();
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->status.code(), StatusCode::kUnavailable);
  EXPECT_THAT(messages, ElementsAre());
}

TEST_F(GrpcClientTest, BadFramingEndsTheCallAtOnce) {
  Begin();
  Exchange();
  at_server().Start(Head());
  at_server().Write(Text(Framed("one") + Framed(std::string(101, 'x')) + Framed("lost")));
  Exchange();
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->status.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(end->initial.Get("x-first"), "1");
  EXPECT_THAT(messages, ElementsAre("one"));
  sender->Cancel();
  Exchange();
  EXPECT_EQ(handler.events.back(), "reset CANCELLED");
}

TEST_F(GrpcClientTest, WhatComesAfterBadFramingIsNotTold) {
  Begin();
  Exchange();
  at_server().Start(Head());
  at_server().Write(Text(Framed(std::string(101, 'x')) + Framed("lost")));
  const Headers trailers = Trailers("0");
  at_server().Finish(&trailers);
  Exchange();  // A second end fails the test.
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->status.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(messages, ElementsAre());
}

TEST_F(GrpcClientTest, AnAnswerInAnUnknownEncodingIsInternal) {
  Begin();
  Exchange();
  ResponseHead head = Head();
  head.headers.Add("grpc-encoding", "snappy");
  at_server().Start(std::move(head));
  std::string compressed = Framed("one");
  compressed[0] = 1;
  at_server().Write(Text(compressed));
  Exchange();
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->status.code(), StatusCode::kInternal);
  EXPECT_THAT(end->status.message(), HasSubstr("'snappy'"));
}

TEST_F(GrpcClientTest, AMessageCutShortIsAnError) {
  Begin();
  Exchange();
  at_server().Start(Head());
  at_server().Write(Text(Framed("one").substr(0, 7)));
  const Headers trailers = Trailers("0");
  at_server().Finish(&trailers);
  Exchange();
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->status.code(), StatusCode::kInternal);
}

TEST_F(GrpcClientTest, AnUnsentRequestIsUnprocessed) {
  Begin();
  client->OnDisconnect(Unavailable("gone"));
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->status.ToString(), "UNAVAILABLE: gone");
  EXPECT_TRUE(end->unprocessed);
}

}  // namespace
}  // namespace tepal::http
