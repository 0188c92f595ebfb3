#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>

#include "network/http/body_collector.h"
#include "network/http/grpc.h"
#include "network/http/http2_test_support.h"

namespace tepal::http {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;

using Http2Test = Http2SessionTest;

TEST_F(Http2Test, CarriesHeadsBodiesAndTrailers) {
  Begin([](const RequestHead&, const std::string& body, ResponseSender& sender) {
    ResponseHead head;
    head.status = 201;
    head.headers.Add("x-b", "c");
    head.headers.Add("connection", "close");
    sender.Start(std::move(head));
    sender.Write(Text(body));
    Headers trailers;
    trailers.Add("grpc-status", "0");
    sender.Finish(&trailers);
  });
  RequestHead head = MakeRequest("POST", "/a?b");
  head.headers.Add("te", "trailers");
  head.headers.Add("transfer-encoding", "chunked");
  RequestSender* sender = Send(answer, head, false);
  sender->Write(Text("hello"));
  Headers trailers;
  trailers.Add("x-t", "1");
  sender->Finish(&trailers);
  Exchange();
  EXPECT_THAT(handler->events, ElementsAre("POST /a?b host=h:80 te=trailers", "end hello x-t=1"));
  EXPECT_THAT(answer.events, ElementsAre("201 x-b=c body", "end grpc-status=0"));
  EXPECT_EQ(answer.body, "hello");
  EXPECT_TRUE(server->Idle());
  EXPECT_TRUE(client->Idle());
}

TEST_F(Http2Test, AnAnswerWithoutBodyIsOneHeadersFrame) {
  Begin([](const RequestHead&, const std::string&, ResponseSender& sender) {
    ResponseHead head;
    head.headers.Add("grpc-status", "5");
    sender.Respond(std::move(head), {});
  });
  Send(answer, MakeRequest("POST", "/"), true);
  Exchange();
  EXPECT_THAT(answer.events, ElementsAre("200 grpc-status=5", "end"));
}

TEST_F(Http2Test, AnswersToHeadSayTheLengthOnly) {
  Begin([](const RequestHead&, const std::string&, ResponseSender& sender) {
    sender.Respond(ResponseHead(), Text("body"));
  });
  Send(answer, MakeRequest("HEAD", "/"), true);
  Exchange();
  EXPECT_THAT(answer.events, ElementsAre("200 length 4", "end"));
}

TEST_F(Http2Test, CreditIsGivenOnlyAsTheSinkTakesBytes) {
  limits.window_bytes = 10000;
  Begin(kLater);
  handler->room_bytes = 0;
  RequestSender* sender = Send(answer, MakeRequest("POST", "/"), false);
  Exchange();
  sender->Write(Text(std::string(50000, 'x')));
  sender->Finish();
  Exchange();
  EXPECT_EQ(sender->unsent_bytes(), 40000u);
  EXPECT_EQ(handler->events.size(), 1u);
}

TEST_F(Http2Test, LimitsAreAnswered) {
  limits.body_bytes_max = 1000;
  limits.header_bytes_max = 2000;
  Begin();
  RequestHead declared = MakeRequest("POST", "/");
  declared.content_length = 1001;
  Answer& too_long = answers.emplace_back();
  Answer& too_much = answers.emplace_back();
  Answer& header = answers.emplace_back();
  Send(too_long, declared, false)->Write(Text(std::string(1001, 'x')));
  Send(too_much, MakeRequest("POST", "/"), false)->Write(Text(std::string(1001, 'x')));
  RequestHead large = MakeRequest("GET", "/");
  large.headers.Add("x", std::string(3000, 'x'));
  Send(header, large, true);
  Exchange();
  EXPECT_EQ(too_long.status, 413);
  EXPECT_EQ(too_much.status, 413);
  EXPECT_EQ(header.status, 431);
  EXPECT_TRUE(too_long.ended && too_much.ended && header.ended);
  EXPECT_TRUE(server->Idle());
  // Only the one whose length was not declared had been given to the handler.
  EXPECT_THAT(handler->events, ElementsAre("POST / host=h:80", "reset INVALID_ARGUMENT"));
  answer = Answer();
  Send(answer, MakeRequest("GET", "/"), true);
  Exchange();
  EXPECT_EQ(answer.status, 200);
}

TEST_F(Http2Test, CancelResetsTheStreamAndTellsTheReceiver) {
  Begin(kLater);
  RequestSender* sender = Send(answer, MakeRequest("GET", "/"), true);
  Exchange();
  sender->Cancel();
  EXPECT_GT(host.turns_asked, 0);
  Exchange();
  EXPECT_EQ(handler->events.back(), "reset CANCELLED");
  EXPECT_FALSE(answer.failed);
  EXPECT_TRUE(client->Idle());
  EXPECT_TRUE(server->Idle());
}

TEST_F(Http2Test, ResetByTheServerFailsTheRequest) {
  Begin([](const RequestHead& head, const std::string&, ResponseSender& sender) {
    sender.Reset(head.target == "/refused" ? NGHTTP2_REFUSED_STREAM : NGHTTP2_INTERNAL_ERROR);
  });
  Answer& refused = answers.emplace_back();
  Answer& broken = answers.emplace_back();
  Send(refused, MakeRequest("GET", "/refused"), true);
  Send(broken, MakeRequest("GET", "/broken"), true);
  Exchange();
  EXPECT_TRUE(refused.failed);
  EXPECT_TRUE(refused.unprocessed);
  EXPECT_EQ(refused.why, StatusCode::kUnavailable);
  EXPECT_TRUE(broken.failed);
  EXPECT_FALSE(broken.unprocessed);
  EXPECT_EQ(broken.why, StatusCode::kInternal);
  EXPECT_EQ(handler->events.size(), 4u);  // The receivers are not called for their own resets.
}

TEST_F(Http2Test, LossOfTheConnectionSaysWhatWasWritten) {
  Begin(kLater);
  Answer& first = answers.emplace_back();
  Answer& second = answers.emplace_back();
  Send(first, MakeRequest("GET", "/1"), true);
  TakeAllOutput(*client, host.now);
  Send(second, MakeRequest("GET", "/2"), true);
  std::vector<env::ConstBytes> pieces;
  client->Output(pieces);  // Made, but never written.
  ASSERT_FALSE(pieces.empty());
  client->OnDisconnect(Unavailable("reset"));
  EXPECT_TRUE(first.failed);
  EXPECT_FALSE(first.unprocessed);
  EXPECT_TRUE(second.failed);
  EXPECT_TRUE(second.unprocessed);
  EXPECT_TRUE(client->Finished());
  EXPECT_EQ(client->Capacity(), 0u);
}

TEST_F(Http2Test, DrainTakesTwoStepsAndLosesNothing) {
  Begin(kLater);
  Answer& early = answers.emplace_back();
  Answer& crossing = answers.emplace_back();
  Answer& late = answers.emplace_back();
  Send(early, MakeRequest("GET", "/early"), true);
  Exchange();
  server->Drain(host.now);
  EXPECT_FALSE(server->Finished());
  // A request that crosses the first GOAWAY on its way is served.
  Send(crossing, MakeRequest("GET", "/crossing"), true);
  Exchange();
  ASSERT_EQ(handler->senders.size(), 2u);
  EXPECT_EQ(client->Capacity(), 0u);
  EXPECT_EQ(Send(late, MakeRequest("GET", "/late"), true), nullptr);
  EXPECT_FALSE(server->Finished());
  for (ResponseSender* sender : handler->senders) sender->Respond(ResponseHead(), {});
  Exchange();
  EXPECT_TRUE(early.ended && crossing.ended);
  EXPECT_TRUE(server->Finished());
  EXPECT_TRUE(client->Finished());
}

TEST_F(Http2Test, ADrainThatIsNotAnsweredGoesOnByTime) {
  Begin();
  Send(answer, MakeRequest("GET", "/"), true);
  Exchange();
  server->Drain(host.now);
  EXPECT_EQ(server->NextDeadline(), host.now + limits.drain_first_request_max);
  server->OnTime(host.now + limits.drain_first_request_max);
  TakeAllOutput(*server, host.now);
  EXPECT_TRUE(server->Finished());
}

// Once everything that the peer sent before it knew has come, and only then.
TEST_F(Http2Test, ADrainTellsTheRequestsThatAreOpen) {
  Begin(kLater);
  RequestSender* const open = Send(answer, MakeRequest("POST", "/open"), false);
  Exchange();
  handler->room_bytes = 0;
  server->Drain(host.now);
  open->Write({Buffer::Copy("crossing")});
  EXPECT_THAT(handler->events, ::testing::Not(::testing::Contains("drain 0")));
  Exchange();
  EXPECT_EQ(handler->events.back(), "drain 8");
  EXPECT_FALSE(server->Finished());
  server->Drain(host.now);
  Exchange();
  EXPECT_EQ(std::count(handler->events.begin(), handler->events.end(), "drain 8"), 1);
}

TEST_F(Http2Test, AgeDoesNotEndRequestsUntilTheServerDrains) {
  limits.connection_age_max = 10s;
  Begin(kLater);
  Send(answer, MakeRequest("POST", "/open"), false);
  Exchange();
  const size_t events = handler->events.size();
  host.now += 11s;
  server->OnTime(host.now);
  Exchange();
  EXPECT_EQ(client->Capacity(), 0u);
  EXPECT_EQ(handler->events.size(), events);
  server->Drain(host.now);
  EXPECT_EQ(handler->events.back(), "drain 0");
}

class RefusingService final : public RequestHandler {
 public:
  std::unique_ptr<RequestReceiver> OnRequest(RequestHead, ResponseSender& sender) override {
    GrpcRespondError(sender, Unimplemented(""));
    return std::make_unique<DiscardingRequest>();
  }
};

TEST_F(Http2Test, ADrainDoesNotWaitForClientsThatLeaveAnsweredCallsOpen) {
  RefusingService service;
  server = NewHttp2ServerSession(limits, host, service);
  Give(*server, kMagic + Frame(NGHTTP2_SETTINGS, 0, 0, ""), host.now);
  const std::string grpc = std::string(kPost) + "\x5f\x10" + "application/grpc";
  Give(*server, Frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, grpc), host.now);
  server->Drain(host.now);
  TakeAllOutput(*server, host.now);
  EXPECT_FALSE(server->Finished());
  const std::string reset = Frame(NGHTTP2_RST_STREAM, 0, 1, std::string(4, '\0'));
  EXPECT_THAT(Give(*server, Frame(NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, std::string("drain\0\0\0", 8)),
                   host.now),
              ::testing::HasSubstr(reset));
  EXPECT_TRUE(server->Finished());
  server.reset();
}

// A ping in front of the GOAWAY would be answered too early.
TEST_F(Http2Test, TheFirstGoawayIsSentBeforeItsPing) {
  Begin();
  Send(answer, MakeRequest("GET", "/"), true);
  Exchange();
  server->Drain(host.now);
  const std::string output = TakeAllOutput(*server, host.now);
  ASSERT_GT(output.size(), 9u);
  EXPECT_EQ(output[3], NGHTTP2_GOAWAY);
  EXPECT_THAT(output, ::testing::HasSubstr("drain"));
}

TEST_F(Http2Test, CapacityFollowsTheServersSettings) {
  limits.streams_max = 3;
  Begin(kLater);
  Exchange();
  EXPECT_EQ(client->Capacity(), 3u);
  for (int i = 0; i < 3; ++i) {
    ASSERT_NE(Send(answers.emplace_back(), MakeRequest("GET", "/"), true), nullptr);
  }
  EXPECT_EQ(client->Capacity(), 0u);
  EXPECT_EQ(Send(answer, MakeRequest("GET", "/"), true), nullptr);
  Exchange();
  handler->senders[1]->Respond(ResponseHead(), {});
  Exchange();
  EXPECT_EQ(client->Capacity(), 1u);
}

TEST_F(Http2Test, BuffersAreSentFromWhereTheyLie) {
  Buffer tensor = Buffer::Allocate(40000);
  Begin([&](const RequestHead&, const std::string&, ResponseSender& sender) {
    BufferList body;
    body.push_back(tensor);
    sender.Respond(ResponseHead(), std::move(body));
  });
  Exchange();
  Send(answer, MakeRequest("GET", "/"), true);
  GiveOnce(*server, TakeAllOutput(*client, host.now), host.now);
  std::vector<env::ConstBytes> pieces;
  server->Output(pieces);
  const bool own = std::any_of(pieces.begin(), pieces.end(), [&](const env::ConstBytes& piece) {
    return piece.data >= tensor.data() && piece.data < tensor.data() + tensor.size();
  });
  EXPECT_TRUE(own);
}

TEST_F(Http2Test, SilentBodiesGet408ButStreamsOfCallsMayWait) {
  Begin();
  Answer& slow = answers.emplace_back();
  Answer& call = answers.emplace_back();
  Send(slow, MakeRequest("POST", "/"), false)->Write(Text("a"));
  RequestHead grpc = MakeRequest("POST", "/service/method");
  grpc.headers.Add("content-type", "application/grpc");
  Send(call, grpc, false);
  Exchange();
  EXPECT_EQ(server->NextDeadline(), host.now + limits.header_time_max);
  server->OnTime(host.now + limits.header_time_max);  // Both heads have come.
  EXPECT_EQ(server->NextDeadline(), host.now + limits.body_idle_max);
  server->OnTime(host.now + limits.body_idle_max);
  Exchange();
  EXPECT_EQ(slow.status, 408);
  EXPECT_FALSE(call.failed || call.ended);
  EXPECT_EQ(handler->events.back(), "reset DEADLINE_EXCEEDED");
}

TEST_F(Http2Test, IdleConnectionsEndInTwoSteps) {
  Begin();
  Exchange();
  host.now += limits.idle_max;
  EXPECT_EQ(server->NextDeadline(), host.now);
  server->OnTime(host.now);
  EXPECT_FALSE(server->Finished());
  // A request that is on its way at that moment is served.
  Send(answer, MakeRequest("GET", "/"), true);
  Exchange();
  EXPECT_EQ(answer.status, 200);
  EXPECT_TRUE(server->Finished());
  EXPECT_TRUE(client->Finished());
}

TEST_F(Http2Test, FloodsEndTheConnection) {
  const std::string ping = Frame(NGHTTP2_PING, 0, 0, "12345678");
  const std::string settings = Frame(NGHTTP2_SETTINGS, 0, 0, "");
  for (const std::string& frame : {ping, settings}) {
    Begin();
    std::string input = kMagic + Frame(NGHTTP2_SETTINGS, 0, 0, "");
    for (int i = 0; i < 20000; ++i) input += frame;
    bool alive = true;
    std::string_view rest = input;
    while (alive && !rest.empty()) {  // The output is never taken.
      const int64_t taken = GiveOnce(*server, rest, host.now);
      alive = taken > 0;
      if (alive) rest.remove_prefix(static_cast<size_t>(taken));
    }
    EXPECT_FALSE(alive);
    EXPECT_TRUE(server->Finished());
  }
}

TEST_F(Http2Test, RapidResetsEndTheConnection) {
  Begin(kLater);
  std::string input = kMagic + Frame(NGHTTP2_SETTINGS, 0, 0, "");
  for (uint32_t id = 1; id < 10001; id += 2) {
    input += Frame(NGHTTP2_HEADERS, 5, id, kGet);
    input += Frame(NGHTTP2_RST_STREAM, 0, id, std::string("\0\0\0\x08", 4));
  }
  Give(*server, input, host.now);
  TakeAllOutput(*server, host.now);
  EXPECT_TRUE(server->Finished());
  EXPECT_LT(handler->senders.size(), limits.resets_burst_max + 100);  // Of that read.
}

TEST_F(Http2Test, WhatIsNotHttp2IsRefused) {
  Begin();
  EXPECT_EQ(GiveOnce(*server, "GET / HTTP/1.1\r\nHost:\r\n\r\n1234567890", host.now), -1);
  EXPECT_TRUE(server->Finished());
}

TEST_F(Http2Test, TheEndOfTheConnectionTellsEveryone) {
  Begin(kLater);
  Send(answer, MakeRequest("GET", "/"), true);
  Exchange();
  EXPECT_FALSE(server->OnReadEnd(host.now));
  EXPECT_EQ(handler->events.back(), "reset UNAVAILABLE");
  EXPECT_FALSE(client->OnReadEnd(host.now));
  EXPECT_TRUE(answer.failed);
  EXPECT_FALSE(answer.unprocessed);
}

TEST_F(Http2Test, ThePrefaceChoosesTheProtocol) {
  for (size_t at = 0; at < 24; ++at) {
    Begin();
    server = NewServerSession(limits, host, *handler);
    Send(answer, MakeRequest("GET", "/two"), true);
    const std::string input = TakeAllOutput(*client, host.now);
    Give(*server, std::string_view(input).substr(0, at), host.now);
    Give(*server, std::string_view(input).substr(at), host.now);
    EXPECT_THAT(handler->events, ElementsAre("GET /two host=h:80", "end ")) << at;
  }
  for (const char* method : {"GET", "P", "PRI", "POST", "PRIX"}) {
    for (size_t at = 0; at < 6; ++at) {
      Begin();
      server = NewServerSession(limits, host, *handler);
      const std::string input = std::string(method) + " /one HTTP/1.1\r\nHost:\r\n\r\n";
      std::string output = Give(*server, std::string_view(input).substr(0, at), host.now);
      output += Give(*server, std::string_view(input).substr(at), host.now);
      EXPECT_THAT(output, StartsWith("HTTP/1.1 200 ")) << method << at;
    }
  }
}

TEST_F(Http2Test, ABrokenPrefaceIsAnsweredWithAGoaway) {
  for (const char* input :
       {"INVALID CONNECTION PREFACE\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"}) {
    Begin();
    server = NewServerSession(limits, host, *handler);
    const std::string output = Give(*server, input, host.now);
    EXPECT_EQ(output.find("HTTP/1.1"), std::string::npos) << input;
    EXPECT_TRUE(server->Finished()) << input;
  }
  for (const char* input : {"GET /\r\n\r\n", "GET / HTTP/3.0\r\n\r\n", "\r\n\r\n \r\n\r\n"}) {
    Begin();
    server = NewServerSession(limits, host, *handler);
    EXPECT_THAT(Give(*server, input, host.now), StartsWith("HTTP/1.1 ")) << input;
  }
}

TEST_F(Http2Test, HandlersLearnTheClientsAddressWhateverTheProtocol) {
  std::vector<std::string> peers;
  Begin([&](const RequestHead& head, const std::string&, ResponseSender& sender) {
    peers.push_back(head.peer);
    sender.Respond(ResponseHead(), {});
  });
  Send(answer, MakeRequest("GET", "/"), true);
  Exchange();
  server = NewServerSession(limits, host, *handler);
  Give(*server, "GET / HTTP/1.1\r\nHost:\r\n\r\n", host.now);
  EXPECT_THAT(peers, ElementsAre("192.0.2.1", "192.0.2.1"));
}

TEST_F(Http2Test, AnUndecidedConnectionHasTimeLimitsToo) {
  Begin();
  server = NewServerSession(limits, host, *handler);
  EXPECT_EQ(server->NextDeadline(), host.now + limits.idle_max);
  Give(*server, "PRI * ", host.now);
  EXPECT_EQ(server->NextDeadline(), host.now + limits.header_time_max);
  server->OnTime(host.now + limits.header_time_max);
  EXPECT_TRUE(server->Finished());
  server = NewServerSession(limits, host, *handler);
  server->Drain(host.now);
  EXPECT_FALSE(server->Finished());
  EXPECT_THAT(Give(*server, "GET / HTTP/1.1\r\nHost:\r\n\r\n", host.now),
              ::testing::HasSubstr("Connection: close"));
  EXPECT_TRUE(server->Finished());
}

}  // namespace
}  // namespace tepal::http
