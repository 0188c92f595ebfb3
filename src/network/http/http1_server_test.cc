// What requests say, and which are refused.

#include "network/http/http1_server_test_support.h"

namespace tepal::http {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

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
  EXPECT_EQ(Give("GET / HTTP/1.1\r\nHost:\r\n\r\n"),
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
      {"no host", get + "A: b\r\n\r\n", 400},
      {"no host beside that of the target", "GET http://h/ HTTP/1.1\r\n\r\n", 400},
      {"no host in a later 1.x", "GET / HTTP/1.7\r\n\r\n", 400},
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

// RFC 9112 section 3.2: 400 without Host and with more than one; HTTP/1.0 knows no Host.
TEST_F(Http1ServerTest, HostIsGivenOnce) {
  Begin();
  EXPECT_THAT(Give("GET / HTTP/1.1\r\n\r\n"), HasSubstr("Host is missing"));
  Begin();
  EXPECT_THAT(Give("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
              HasSubstr("Host is given twice"));
  Begin();
  EXPECT_THAT(Give("GET /probe HTTP/1.0\r\n\r\n"), StartsWith("HTTP/1.0 200 "));
  EXPECT_THAT(handler->events, ElementsAre("GET /probe host=", "end "));
}

TEST_F(Http1ServerTest, TakesWhatIsUnusualButFine) {
  Begin();
  EXPECT_THAT(Give("\r\n\r\nGET / HTTP/1.1\r\nHost:\r\n\r\n"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(Give("GET http://H:1/p?q HTTP/1.1\r\nHost: other\r\n\r\n"), StartsWith("HTTP/1.1 2"));
  EXPECT_THAT(Give("GET http://h?q HTTP/1.1\r\nHost: h\r\n\r\n"), StartsWith("HTTP/1.1 2"));
  EXPECT_THAT(Give("OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n"), StartsWith("HTTP/1.1 2"));
  EXPECT_THAT(Give("POST / HTTP/1.1\r\nHost:\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na"),
              EndsWith("\r\n\r\na"));
  EXPECT_THAT(Give("GET / HTTP/1.7\r\nHost:\r\nA:\xff\r\n\r\n"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(handler->events,
              ElementsAre("GET / host=", "end ", "GET /p?q host=H:1", "end ", "GET /?q host=h",
                          "end ", "OPTIONS * host=", "end ", "POST / host= length 1", "end a",
                          "GET / host= a=\xff", "end "));
}

}  // namespace
}  // namespace tepal::http
