#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "network/http/session_test_support.h"

namespace tepal::http {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class Http1ServerTest : public ::testing::Test {
 protected:
  void Begin(RecordingHandler::Respond respond = nullptr) {
    handler = std::make_unique<RecordingHandler>(std::move(respond));
    session = NewHttp1ServerSession(limits, host, *handler);
  }
  std::string Give(std::string_view bytes) { return http::Give(*session, bytes, host.now); }
  std::string Take() { return TakeAllOutput(*session, host.now); }

  Limits limits;
  TestHost host;
  std::unique_ptr<RecordingHandler> handler;
  std::unique_ptr<Session> session;
};

// A handler that answers only when told to.
const RecordingHandler::Respond kLater = [](const RequestHead&, const std::string&,
                                            ResponseSender&) {};

TEST_F(Http1ServerTest, AnswersAndKeepsTheConnection) {
  Begin();
  EXPECT_EQ(Give("GET /v2?a=b HTTP/1.1\r\nHost: x:8000\r\nX-Y:  z \t\r\n\r\n"),
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_THAT(handler->events, ElementsAre("GET /v2?a=b host=x:8000 x-y=z", "end "));
  EXPECT_FALSE(session->Finished());
  EXPECT_TRUE(session->Idle());
  EXPECT_EQ(Give("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"),
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
}

TEST_F(Http1ServerTest, WritesFieldsAsPeopleDoAndKeepsLineEndsOut) {
  Begin([](const RequestHead&, const std::string&, ResponseSender& sender) {
    ResponseHead head;
    head.status = 404;
    head.headers.Add("content-type", "text/plain");
    head.headers.Add("x-evil", "a\r\nSet-Cookie: b");
    head.headers.Add("content-length", "17");
    head.headers.Add("bad name", "x");
    sender.Respond(std::move(head), Text("no"));
  });
  EXPECT_EQ(Give("GET / HTTP/1.1\r\n\r\n"),
            "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nX-Evil: a  Set-Cookie: b\r\n"
            "Content-Length: 2\r\n\r\nno");
}

TEST_F(Http1ServerTest, HidesFramingFieldsAndWhatConnectionNames) {
  Begin();
  Give(
      "POST / HTTP/1.1\r\nConnection: x-hop, keep-alive\r\nHost: h\r\nX-Hop: 1\r\nX-Stay: 2\r\n"
      "Keep-Alive: 5\r\nProxy-Connection: close\r\nUpgrade: h2c\r\nTE: gzip\r\nTe: trailers\r\n"
      "Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n");
  EXPECT_THAT(handler->events, ElementsAre("POST / host=h x-stay=2 te=trailers", "end "));
}

TEST_F(Http1ServerTest, ReadsChunksExtensionsAndTrailers) {
  Begin();
  EXPECT_THAT(Give("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "5;a=\"b\"\r\nhello\r\n0A\r\n, world...\r\n0\r\nX-Sum: 7\r\n"
                   "Content-Length: 9\r\n\r\n"),
              EndsWith("\r\nContent-Length: 15\r\n\r\nhello, world..."));
  EXPECT_THAT(handler->events, ElementsAre("POST / host=h", "end hello, world... x-sum=7"));
}

TEST_F(Http1ServerTest, EverySplitGivesTheSameEventsAndAnswers) {
  const std::string input =
      "POST /a HTTP/1.1\r\nHost: h\r\nX: 1\r\nContent-Length: 10\r\n\r\n0123456789"
      "\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n"
      "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n10;x\r\n0123456789abcdef\r\n0\r\nT: u\r\n\r\n"
      "GET /d HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
  Begin();
  const std::string whole = Give(input);
  const std::vector<std::string> events = handler->events;
  ASSERT_EQ(events.size(), 8u);
  EXPECT_TRUE(session->Finished());
  for (size_t first = 1; first < input.size(); ++first) {
    for (const size_t second : {first + 1, first + 7, input.size()}) {
      Begin();
      std::string answers = Give(input.substr(0, first));
      if (second < input.size()) {
        answers += Give(input.substr(first, second - first));
        answers += Give(input.substr(second));
      } else {
        answers += Give(input.substr(first));
      }
      EXPECT_EQ(answers, whole) << first << " " << second;
      EXPECT_EQ(handler->events, events) << first << " " << second;
    }
  }
}

TEST_F(Http1ServerTest, ByteByByte) {
  Begin();
  const std::string input =
      "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: h\r\n\r\n4\r\nabcd\r\n0\r\n\r\n";
  std::string answer;
  for (const char c : input) answer += Give(std::string_view(&c, 1));
  EXPECT_THAT(answer, EndsWith("\r\n\r\nabcd"));
}

struct Malformed {
  const char* what;
  std::string bytes;
  int status;
};

std::vector<Malformed> MalformedRequests() {
  const std::string get = "GET / HTTP/1.1\r\n";
  const std::string post = "POST / HTTP/1.1\r\nHost: x\r\n";
  const std::string chunked = post + "Transfer-Encoding: chunked\r\n\r\n";
  const std::string nul(1, '\0');
  return {
      {"garbage", " garbage\r\n\r\n", 400},
      {"no spaces", "GET\r\n\r\n", 400},
      {"no version", "GET /\r\n\r\n", 400},
      {"two spaces", "GET  / HTTP/1.1\r\n\r\n", 400},
      {"space at the end", "GET / HTTP/1.1 \r\n\r\n", 400},
      {"space in target", "GET /a b HTTP/1.1\r\n\r\n", 400},
      {"empty target", "GET  HTTP/1.1\r\n\r\n", 400},
      {"control in target", "GET /\x01 HTTP/1.1\r\n\r\n", 400},
      {"fragment in target", "GET /a#b HTTP/1.1\r\n\r\n", 400},
      {"relative target", "GET a HTTP/1.1\r\n\r\n", 400},
      {"asterisk of GET", "GET * HTTP/1.1\r\n\r\n", 400},
      {"unknown scheme", "GET ftp://a/ HTTP/1.1\r\n\r\n", 400},
      {"no authority", "GET http:///a HTTP/1.1\r\n\r\n", 400},
      {"userinfo", "GET http://u@h/a HTTP/1.1\r\n\r\n", 400},
      {"method", "G(T / HTTP/1.1\r\n\r\n", 400},
      {"connect", "CONNECT h:1 HTTP/1.1\r\n\r\n", 501},
      {"version 2", "GET / HTTP/2.0\r\n\r\n", 505},
      {"version in words", "GET / HTTP/one\r\n\r\n", 400},
      {"version in lower case", "GET / http/1.1\r\n\r\n", 400},
      {"bare LF after the request line", "GET / HTTP/1.1\nHost: x\r\n\r\n", 400},
      {"bare LF after a field", get + "Host: x\n\r\n", 400},
      {"bare LF for the empty line", get + "Host: x\r\n\n", 400},
      {"bare CR in a value", get + "A: b\rC: d\r\n\r\n", 400},
      {"NUL in a value", get + "A: b" + nul + "c\r\n\r\n", 400},
      {"NUL in a name", get + "A" + nul + "b: c\r\n\r\n", 400},
      {"folded", get + "A: b\r\n c\r\n\r\n", 400},
      {"folded first", get + " A: b\r\n\r\n", 400},
      {"space before the colon", get + "Content-Length : 5\r\n\r\n", 400},
      {"tab before the colon", get + "A\t: 5\r\n\r\n", 400},
      {"no name", get + ": b\r\n\r\n", 400},
      {"no colon", get + "nonsense\r\n\r\n", 400},
      {"non-ASCII name", get + "\xc3\xa9: b\r\n\r\n", 400},
      {"two hosts", get + "Host: a\r\nhost: b\r\n\r\n", 400},
      {"two equal hosts", get + "Host: a\r\nHost: a\r\n\r\n", 400},
      {"a list of hosts", get + "Host: a, b\r\n\r\n", 400},
      {"path in the host", get + "Host: a/b\r\n\r\n", 400},
      {"length with sign", post + "Content-Length: +5\r\n\r\n", 400},
      {"negative length", post + "Content-Length: -5\r\n\r\n", 400},
      {"hexadecimal length", post + "Content-Length: 0x5\r\n\r\n", 400},
      {"empty length", post + "Content-Length:\r\n\r\n", 400},
      {"list of lengths", post + "Content-Length: 5, 5\r\n\r\n", 400},
      {"length with a space", post + "Content-Length: 5 5\r\n\r\n", 400},
      {"two lengths", post + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400},
      {"length beyond 64 bits", post + "Content-Length: 99999999999999999999999\r\n\r\n", 413},
      {"length over the limit", post + "Content-Length: 67108865\r\n\r\n", 413},
      {"length and chunked", post + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"chunked and length", post + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n", 400},
      {"unknown coding", post + "Transfer-Encoding: gzip\r\n\r\n", 501},
      {"coding before chunked", post + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
      {"chunked not last", post + "Transfer-Encoding: chunked, identity\r\n\r\n", 501},
      {"chunked with a parameter", post + "Transfer-Encoding: chunked;q=1\r\n\r\n", 501},
      {"vertical tab before chunked",
       post + "Transfer-Encoding: \x0b"
              "chunked\r\n\r\n",
       400},
      {"two codings", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
       400},
      {"chunked in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"expectation", post + "Expect: 200-ok\r\n\r\n", 417},
      {"chunk size", chunked + "zz\r\nabc", 400},
      {"empty chunk size", chunked + "\r\nabc", 400},
      {"chunk size with prefix", chunked + "0x3\r\nabc\r\n", 400},
      {"chunk size with sign", chunked + "+3\r\nabc\r\n", 400},
      {"negative chunk size", chunked + "-3\r\nabc\r\n", 400},
      {"space before the chunk size", chunked + " 3\r\nabc\r\n", 400},
      {"space behind the chunk size", chunked + "3 \r\nabc\r\n", 400},
      {"chunk size beyond 64 bits", chunked + "10000000000000003\r\nabc\r\n", 400},
      {"chunk over the limit", chunked + "ffffffffffffffff\r\nabc\r\n", 413},
      {"bare LF after the chunk size", chunked + "3\nabc\r\n", 400},
      {"bare CR in an extension", chunked + "3;a\rb\r\nabc\r\n", 400},
      {"chunk too long", chunked + "3\r\nabcd\r\n", 400},
      {"bare LF after a chunk", chunked + "3\r\nabc\n0\r\n\r\n", 400},
      {"bare CR after a chunk", chunked + "3\r\nabc\rx0\r\n\r\n", 400},
      {"endless extension", chunked + "3;" + std::string(300, 'a'), 400},
      {"bare LF in trailers", chunked + "0\r\nA: b\n\r\n", 400},
      {"bad trailer", chunked + "0\r\nA b\r\n\r\n", 400},
      {"folded trailer", chunked + "0\r\n A: b\r\n\r\n", 400},
      {"long request line", "GET /" + std::string(70000, 'a'), 414},
      {"long header", get + "A: " + std::string(70000, 'a'), 431},
      {"long trailers", chunked + "0\r\nA: " + std::string(70000, 'a'), 431},
      {"many empty lines",
       [] {
         std::string lines;
         for (int i = 0; i < 40000; ++i) lines += "\r\n";
         return lines;
       }(),
       414},
      {"many fields",
       [&] {
         std::string fields = get;
         for (int i = 0; i < 101; ++i) fields += "a: b\r\n";
         return fields;
       }(),
       431},
  };
}

TEST_F(Http1ServerTest, MalformedRequestsAreRefusedAndTheConnectionEnds) {
  for (const Malformed& bad : MalformedRequests()) {
    for (const size_t piece : {SIZE_MAX, size_t{1}, size_t{7}}) {
      if (piece == 1 && bad.bytes.size() > 5000) continue;
      Begin();
      std::string answer;
      std::string_view rest = bad.bytes;
      while (!rest.empty()) {
        answer += Give(rest.substr(0, piece));
        rest.remove_prefix(std::min(piece, rest.size()));
      }
      SCOPED_TRACE(std::string(bad.what) + ": " + answer);
      EXPECT_THAT(answer, StartsWith("HTTP/1.1 " + std::to_string(bad.status) + " "));
      EXPECT_THAT(answer, HasSubstr("\r\nConnection: close\r\n"));
      EXPECT_THAT(answer, HasSubstr("{\"error\":\""));
      EXPECT_TRUE(session->Finished());
      // What follows is never understood as a request.
      EXPECT_EQ(Give("GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"), "");
      for (const std::string& event : handler->events) EXPECT_THAT(event, Not(HasSubstr("smug")));
    }
  }
}

TEST_F(Http1ServerTest, TakesWhatIsUnusualButFine) {
  Begin();
  EXPECT_THAT(Give("\r\n\r\nGET / HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(Give("GET http://H:1/p?q HTTP/1.1\r\nHost: other\r\n\r\n"), StartsWith("HTTP/1.1 2"));
  EXPECT_THAT(Give("GET http://h?q HTTP/1.1\r\nHost: h\r\n\r\n"), StartsWith("HTTP/1.1 2"));
  EXPECT_THAT(Give("OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n"), StartsWith("HTTP/1.1 2"));
  EXPECT_THAT(Give("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na"),
              EndsWith("\r\n\r\na"));
  EXPECT_THAT(Give("GET / HTTP/1.7\r\nA:\xff\r\n\r\n"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(handler->events,
              ElementsAre("GET / host=", "end ", "GET /p?q host=H:1", "end ", "GET /?q host=h",
                          "end ", "OPTIONS * host=", "end ", "POST / host= length 1", "end a",
                          "GET / host= a=\xff", "end "));
}

TEST_F(Http1ServerTest, Http10ClosesUnlessAsked) {
  Begin();
  EXPECT_EQ(Give("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
            "HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_FALSE(session->Finished());
  EXPECT_EQ(Give("GET / HTTP/1.0\r\n\r\n"),
            "HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(session->Finished());
}

TEST_F(Http1ServerTest, PipelinedRequestsAreAnsweredInOrder) {
  Begin(kLater);
  Give("GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\n\r\n");
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

TEST_F(Http1ServerTest, PipeliningIsBounded) {
  limits.requests_pipelined_max = 3;
  Begin(kLater);
  std::string five;
  for (int i = 0; i < 5; ++i) five += "GET / HTTP/1.1\r\n\r\n";
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

TEST_F(Http1ServerTest, AnErrorWaitsForTheAnswersBeforeIt) {
  Begin(kLater);
  EXPECT_EQ(Give("GET /1 HTTP/1.1\r\n\r\nnonsense\r\n\r\n"), "");
  EXPECT_FALSE(session->Finished());
  handler->senders[0]->Respond(ResponseHead(), {});
  const std::string answers = Take();
  EXPECT_THAT(answers, StartsWith("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 400 "));
  EXPECT_TRUE(session->Finished());
}

TEST_F(Http1ServerTest, AnswersToHeadAnd204HaveNoBody) {
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
  EXPECT_EQ(Give("HEAD / HTTP/1.1\r\n\r\n"), "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
  EXPECT_EQ(Give("HEAD /stream HTTP/1.1\r\n\r\n"), "HTTP/1.1 200 OK\r\n\r\n");
  EXPECT_EQ(Give("GET /204 HTTP/1.1\r\n\r\n"), "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_EQ(Give("GET /304 HTTP/1.1\r\n\r\n"),
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n");
  EXPECT_FALSE(session->Finished());
}

TEST_F(Http1ServerTest, StreamsInChunksWithTrailersOrToTheEnd) {
  Begin([](const RequestHead&, const std::string&, ResponseSender& sender) {
    sender.Start(ResponseHead());
    sender.Write(Text(std::string(300, 'x')));
    sender.Write({});
    sender.Write(Text("y"));
    Headers trailers;
    trailers.Add("x-sum", "1");
    sender.Finish(&trailers);
  });
  EXPECT_EQ(Give("GET / HTTP/1.1\r\n\r\n"),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n12c\r\n" + std::string(300, 'x') +
                "\r\n1\r\ny\r\n0\r\nX-Sum: 1\r\n\r\n");
  EXPECT_EQ(Give("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
            "HTTP/1.0 200 OK\r\nConnection: close\r\n\r\n" + std::string(300, 'x') + "y");
  EXPECT_TRUE(session->Finished());
}

TEST_F(Http1ServerTest, AnAnnouncedLengthThatIsNotKeptEndsTheConnection) {
  for (const char* body : {"abc", "abcdefg"}) {
    Begin([&](const RequestHead&, const std::string&, ResponseSender& sender) {
      ResponseHead head;
      head.content_length = 5;
      sender.Start(std::move(head));
      sender.Write(Text(body));
      sender.Finish();
    });
    const std::string answer = Give("GET / HTTP/1.1\r\n\r\n");
    EXPECT_THAT(answer, HasSubstr("Content-Length: 5\r\n"));
    EXPECT_LT(answer.size() - answer.find("\r\n\r\n") - 4, 5u);
    EXPECT_TRUE(session->Finished());
  }
}

TEST_F(Http1ServerTest, ContinueIsSentWhenTheBodyIsWanted) {
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

TEST_F(Http1ServerTest, AnEarlyAnswerLetsTheBodyComeAndTheConnectionLive) {
  EarlyHandler early;
  session = NewHttp1ServerSession(limits, host, early);
  EXPECT_EQ(Give("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab"),
            "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
  EXPECT_FALSE(session->Finished());
  Give("cde");
  EXPECT_TRUE(early.ended);
  EXPECT_THAT(Give("GET / HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 401 "));
}

TEST_F(Http1ServerTest, AnEarlyAnswerInsteadOfContinueEndsTheConnection) {
  EarlyHandler early;
  session = NewHttp1ServerSession(limits, host, early);
  EXPECT_THAT(Give("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"),
              EndsWith("\r\nConnection: close\r\n\r\n"));
  EXPECT_TRUE(session->Finished());
  EXPECT_TRUE(early.reset);
}

TEST_F(Http1ServerTest, APausedBodyIsNotReadUntilResumed) {
  EarlyHandler late;
  late.answer = late.room = false;
  session = NewHttp1ServerSession(limits, host, late);
  Give("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab");
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

TEST_F(Http1ServerTest, LargeBodiesAreReadStraightIntoTheSink) {
  Begin();
  handler->room_bytes = 10000;
  Give("POST / HTTP/1.1\r\nContent-Length: 6000\r\n\r\n");
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

TEST_F(Http1ServerTest, BuffersAreSentFromWhereTheyLie) {
  Buffer tensor = Buffer::Allocate(100000);
  std::memset(tensor.data(), 't', tensor.size());
  Begin([&](const RequestHead&, const std::string&, ResponseSender& sender) {
    BufferList body;
    body.push_back(tensor);
    sender.Respond(ResponseHead(), std::move(body));
  });
  const std::string_view request = "GET / HTTP/1.1\r\n\r\n";
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

TEST_F(Http1ServerTest, OnSendRoomFollowsCongestion) {
  limits.send_high_water_bytes = 1000;
  Begin(kLater);
  Give("GET / HTTP/1.1\r\n\r\n");
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

TEST_F(Http1ServerTest, AClientThatReadsNoAnswersGetsNoFurtherOnes) {
  limits.send_high_water_bytes = 1000;
  Begin([](const RequestHead&, const std::string&, ResponseSender& sender) {
    sender.Respond(ResponseHead(), Text(std::string(600, 'x')));
  });
  const std::string request = "GET / HTTP/1.1\r\n\r\n";
  GiveOnce(*session, request + request + request + request, host.now);
  EXPECT_EQ(handler->senders.size(), 2u);
  Take();
  EXPECT_EQ(handler->senders.size(), 4u);
}

TEST_F(Http1ServerTest, SlowHeadersGet408) {
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

TEST_F(Http1ServerTest, ABodyThatStopsGets408AndItsReceiverIsTold) {
  Begin();
  Give("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab");
  host.now += 20s;
  Give("c");
  const Instant due = host.now + limits.body_idle_max;
  EXPECT_EQ(session->NextDeadline(), due);
  session->OnTime(due);
  EXPECT_THAT(Take(), StartsWith("HTTP/1.1 408 "));
  EXPECT_TRUE(session->Finished());
  EXPECT_EQ(handler->events.back(), "reset DEADLINE_EXCEEDED");
}

TEST_F(Http1ServerTest, IdleConnectionsAreClosedSilently) {
  Begin();
  Give("GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(session->NextDeadline(), host.now + limits.idle_max);
  session->OnTime(host.now + limits.idle_max);
  EXPECT_EQ(Take(), "");
  EXPECT_TRUE(session->Finished());
}

TEST_F(Http1ServerTest, WaitingForTheApplicationHasNoLimit) {
  Begin(kLater);
  Give("GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(session->NextDeadline(), std::nullopt);
}

TEST_F(Http1ServerTest, AClientThatTakesNothingIsCutOff) {
  Begin(kLater);
  Give("GET / HTTP/1.1\r\n\r\n");
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

TEST_F(Http1ServerTest, DrainClosesIdleConnectionsAtOnce) {
  Begin();
  Give("GET / HTTP/1.1\r\n\r\n");
  session->Drain(host.now);
  EXPECT_TRUE(session->Finished());
}

TEST_F(Http1ServerTest, DrainLetsAFreshConnectionHaveItsRequest) {
  Begin();
  session->Drain(host.now);
  EXPECT_FALSE(session->Finished());
  EXPECT_EQ(session->NextDeadline(), host.now + limits.drain_first_request_max);
  EXPECT_EQ(Give("GET / HTTP/1.1\r\n\r\n"),
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(session->Finished());
  Begin();
  session->Drain(host.now);
  session->OnTime(host.now + limits.drain_first_request_max);
  EXPECT_TRUE(session->Finished());
}

TEST_F(Http1ServerTest, DrainFinishesWhatWasBegunAndSaysCloseOnTheLast) {
  Begin(kLater);
  Give("GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n");
  session->Drain(host.now);
  Give("GET /3 HTTP/1.1\r\n\r\n");
  ASSERT_EQ(handler->senders.size(), 2u);
  handler->senders[0]->Respond(ResponseHead(), {});
  EXPECT_EQ(Take(), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_FALSE(session->Finished());
  handler->senders[1]->Respond(ResponseHead(), {});
  EXPECT_EQ(Take(), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(session->Finished());
  EXPECT_EQ(handler->senders.size(), 2u);
}

TEST_F(Http1ServerTest, DrainAfterTheAnswersHeadClosesBehindIt) {
  Begin(kLater);
  Give("GET /1 HTTP/1.1\r\n\r\n");
  handler->senders[0]->Start(ResponseHead());
  Take();
  session->Drain(host.now);
  handler->senders[0]->Finish();
  EXPECT_EQ(Take(), "0\r\n\r\n");
  EXPECT_TRUE(session->Finished());
}

TEST_F(Http1ServerTest, ResetCutsTheAnswerAndEndsTheConnection) {
  Begin(kLater);
  Give("GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n");
  handler->senders[0]->Start(ResponseHead());
  handler->senders[0]->Write(Text("part"));
  handler->senders[0]->Reset(0);
  EXPECT_EQ(Take(), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n");
  EXPECT_TRUE(session->Finished());
  // The second request can not be answered any more.
  EXPECT_EQ(handler->events.back(), "reset CANCELLED");
}

TEST_F(Http1ServerTest, HalfCloseIsNoCancel) {
  Begin(kLater);
  Give("GET /1 HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(session->OnReadEnd(host.now));
  std::byte scratch[10];
  EXPECT_TRUE(session->ReadRoom(scratch).empty());
  EXPECT_FALSE(session->Finished());
  handler->senders[0]->Respond(ResponseHead(), Text("x"));
  EXPECT_THAT(Take(), EndsWith("\r\nConnection: close\r\n\r\nx"));
  EXPECT_TRUE(session->Finished());
}

TEST_F(Http1ServerTest, AfterAHalfCloseInterimAnswersShowWhetherTheClientHasGone) {
  Begin(kLater);
  Give("GET /1 HTTP/1.1\r\n\r\n");
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

TEST_F(Http1ServerTest, AnHttp10ClientGetsNoInterimAnswer) {
  Begin(kLater);
  Give("GET /1 HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(session->OnReadEnd(host.now));
  EXPECT_EQ(session->NextDeadline(), std::nullopt);
}

TEST_F(Http1ServerTest, AnAnswerThatHasBegunIsNotProbed) {
  Begin(kLater);
  Give("GET /1 HTTP/1.1\r\n\r\n");
  handler->senders[0]->Start(ResponseHead());
  Take();
  EXPECT_TRUE(session->OnReadEnd(host.now));
  EXPECT_EQ(session->NextDeadline(), std::nullopt);
}

TEST_F(Http1ServerTest, EndOfInputWithinARequestResetsIt) {
  Begin();
  Give("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab");
  session->OnReadEnd(host.now);
  EXPECT_EQ(handler->events.back(), "reset CANCELLED");
  EXPECT_TRUE(session->Finished());
  Begin();
  Give("POST / HT");
  session->OnReadEnd(host.now);
  EXPECT_TRUE(session->Finished());
  EXPECT_EQ(Take(), "");
}

TEST_F(Http1ServerTest, DisconnectTellsEveryExchange) {
  Begin(kLater);
  Give("GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n");
  session->OnDisconnect(Unavailable("reset by peer"));
  EXPECT_EQ(handler->events.size(), 6u);
  EXPECT_EQ(handler->events[4], "reset UNAVAILABLE");
  EXPECT_EQ(handler->events[5], "reset UNAVAILABLE");
}

TEST_F(Http1ServerTest, ChunkedBodyOverTheLimitGets413) {
  limits.body_bytes_max = 10;
  Begin();
  const std::string head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_THAT(Give(head + "6\r\nabcdef\r\n4\r\nabcd\r\n0\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(Give(head + "6\r\nabcdef\r\n5\r\nabcde\r\n0\r\n\r\n"), StartsWith("HTTP/1.1 413 "));
  EXPECT_EQ(handler->events.back(), "reset INVALID_ARGUMENT");
  EXPECT_TRUE(session->Finished());
}

}  // namespace
}  // namespace tepal::http
