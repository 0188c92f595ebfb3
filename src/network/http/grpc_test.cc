#include "network/http/grpc.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "network/http/session_test_support.h"

namespace tepal::http {
namespace {

using ::testing::HasSubstr;

TEST(GrpcTextTest, ContentTypes) {
  EXPECT_TRUE(IsGrpcContentType("application/grpc"));
  EXPECT_TRUE(IsGrpcContentType("application/grpc+proto"));
  EXPECT_TRUE(IsGrpcContentType("Application/gRPC;x=y"));
  EXPECT_FALSE(IsGrpcContentType("application/grpc-web"));
  EXPECT_FALSE(IsGrpcContentType("application/json"));
  EXPECT_FALSE(IsGrpcContentType(""));
}

TEST(GrpcTextTest, Timeouts) {
  EXPECT_EQ(ParseGrpcTimeout("20m"), Duration(20ms));
  EXPECT_EQ(ParseGrpcTimeout("1H"), Duration(3600s));
  EXPECT_EQ(ParseGrpcTimeout("2M"), Duration(120s));
  EXPECT_EQ(ParseGrpcTimeout("0S"), Duration(0));
  EXPECT_EQ(ParseGrpcTimeout("7u"), Duration(7us));
  EXPECT_EQ(ParseGrpcTimeout("99999999n"), Duration(99999999ns));
  EXPECT_EQ(ParseGrpcTimeout("99999999H"), Duration::max());
  for (const char* bad : {"", "m", "1", "1x", "-1m", "-0m", "+1m", "1 m", "123456789m", "1.5S"}) {
    EXPECT_EQ(ParseGrpcTimeout(bad), std::nullopt) << bad;
  }
  EXPECT_EQ(FormatGrpcTimeout(20ms), "20000000n");
  EXPECT_EQ(FormatGrpcTimeout(Duration(-1)), "1n");
  EXPECT_EQ(FormatGrpcTimeout(Duration::max()), "2562048H");
  for (const Duration d : {Duration(1), Duration(100ms), Duration(100s), Duration(86400s)}) {
    EXPECT_GE(*ParseGrpcTimeout(FormatGrpcTimeout(d)), d);
    EXPECT_LE(*ParseGrpcTimeout(FormatGrpcTimeout(d)), d + d / 1000);
  }
}

TEST(GrpcTextTest, Deadlines) {
  const Instant received{Duration(100s)};
  Headers headers;
  EXPECT_EQ(*GrpcDeadline(headers, received), Instant::max());
  headers.Add("grpc-timeout", "3S");
  EXPECT_EQ(*GrpcDeadline(headers, received), received + 3s);
  headers.Set("grpc-timeout", "99999999H");
  EXPECT_EQ(*GrpcDeadline(headers, received), Instant::max());
  headers.Set("grpc-timeout", "3 s");
  EXPECT_EQ(GrpcDeadline(headers, received).status().code(), StatusCode::kInternal);
}

TEST(GrpcTextTest, MessagesArePercentEncoded) {
  EXPECT_EQ(EncodeGrpcMessage("a% \n\xc3\xa4"), "a%25 %0A%C3%A4");
  EXPECT_EQ(DecodeGrpcMessage("a%25 %0A%c3%A4"), "a% \n\xc3\xa4");
  EXPECT_EQ(DecodeGrpcMessage("100%, %zz, %2"), "100%, %zz, %2");
  Headers headers;
  AddGrpcStatus(NotFound("no\nmodel"), headers);
  const auto status = ReadGrpcStatus(headers);
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->code(), StatusCode::kNotFound);
  EXPECT_EQ(status->message(), "no\nmodel");
  EXPECT_EQ(ReadGrpcStatus(Headers()), std::nullopt);
  headers.Clear();
  headers.Add("grpc-status", "77");
  EXPECT_EQ(ReadGrpcStatus(headers)->code(), StatusCode::kUnknown);
}

TEST(GrpcTextTest, BinaryMetadataIsBase64) {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    Headers headers;
    AddBinaryMetadata("x-bin", bytes, headers);
    EXPECT_EQ(headers.Get("x-bin")->find('='), std::string::npos);
    EXPECT_THAT(ReadBinaryMetadata(headers, "x-bin"), ::testing::ElementsAre(bytes)) << i;
    bytes.push_back(static_cast<char>(i * 7));
  }
  Headers headers;
  headers.Add("x-bin", "q6ur");
  headers.Add("x-bin", "AAE=,AAE, AA==,A===,A,AA=,a b, ");
  headers.Add("y-bin", "AAAA");
  EXPECT_THAT(ReadBinaryMetadata(headers, "x-bin"),
              ::testing::ElementsAre("\xab\xab\xab", std::string("\0\1", 2), std::string("\0\1", 2),
                                     std::string("\0", 1), ""));
}

std::string Framed(std::string_view message) {
  return std::string(Flatten(GrpcFrame(Text(message))).text());
}

TEST(GrpcReaderTest, EveryCutGivesTheSameAlignedMessages) {
  const std::string input = Framed("hello") + Framed("") + Framed(std::string(1000, 'x'));
  for (size_t piece = 1; piece < 40; ++piece) {
    std::vector<std::string> messages;
    GrpcMessageReader reader(
        1000,
        [&](Buffer message) {
          EXPECT_EQ(reinterpret_cast<uintptr_t>(message.data()) % kSlabAlignment, 0u);
          messages.emplace_back(message.text());
        },
        [](const Status& why) { ADD_FAILURE() << why.ToString(); });
    for (std::string_view rest = input; !rest.empty();) {
      const auto room = reader.BodyRoom(rest.size());
      ASSERT_FALSE(room.empty());
      const size_t part = std::min({room.size(), rest.size(), piece});
      std::memcpy(room.data(), rest.data(), part);
      reader.OnBody(part);
      rest.remove_prefix(part);
    }
    EXPECT_FALSE(reader.truncated());
    EXPECT_THAT(messages, ::testing::ElementsAre("hello", "", std::string(1000, 'x')));
  }
}

// A service over a pair of sessions: /unary echoes, /fail fails, /stream echoes every message.
class GrpcCallTest : public ::testing::Test, public RequestHandler {
 protected:
  GrpcCallTest()
      : server(NewHttp2ServerSession(limits, host, *this)),
        client(NewHttp2ClientSession(limits, host)) {}

  std::unique_ptr<RequestReceiver> OnRequest(RequestHead head, ResponseSender& sender) override {
    EXPECT_TRUE(IsGrpcRequest(head));
    if (head.target == "/stream") {
      GrpcStart(sender);
      GrpcStreamRequest::Calls calls;
      calls.on_message = [&sender](Buffer message) { GrpcWrite(sender, {std::move(message)}); };
      calls.on_end = [&sender] { GrpcFinish(sender, Status()); };
      calls.on_reset = [this](const Status& why) { reset = why; };
      return std::make_unique<GrpcStreamRequest>(head, sender, 100, std::move(calls));
    }
    const bool fail = head.target == "/fail";
    return std::make_unique<GrpcUnaryRequest>(head, sender, 100, [&sender, fail](Buffer message) {
      if (fail) return GrpcRespondError(sender, Unavailable("not now, 100% sure"));
      GrpcRespond(sender, {std::move(message)});
    });
  }

  void Exchange() { MoveAll(*client, *server, host.now); }

  // The answer to a body of these bytes.
  Result<std::string> Call(std::string_view path, std::string_view body) {
    Result<std::string> result = Internal("nothing came back");
    auto receiver = std::make_unique<GrpcUnaryResponse>(100, [&](GrpcEnd end, Buffer message) {
      if (end.status.ok()) {
        result = std::string(message.text());
      } else {
        result = end.status;
      }
    });
    RequestSender* sender =
        client->Send(MakeGrpcRequest("h", path, 1s), false, std::move(receiver));
    sender->Write(Text(body));
    sender->Finish();
    Exchange();
    return result;
  }

  Limits limits;
  TestHost host;
  Status reset;
  std::unique_ptr<Session> server;
  std::unique_ptr<ClientSession> client;
};

TEST_F(GrpcCallTest, UnaryCallsAnswerOrFail) {
  const Result<std::string> hello = Call("/unary", Framed("hello"));
  ASSERT_TRUE(hello.ok()) << hello.status().ToString();
  EXPECT_EQ(*hello, "hello");
  EXPECT_EQ(*Call("/unary", Framed("")), "");
  const Status failed = Call("/fail", Framed("x")).status();
  EXPECT_EQ(failed.code(), StatusCode::kUnavailable);
  EXPECT_EQ(failed.message(), "not now, 100% sure");
}

TEST_F(GrpcCallTest, MalformedRequestsAreAnswered) {
  EXPECT_EQ(Call("/unary", "").status().code(), StatusCode::kUnimplemented);
  EXPECT_EQ(Call("/unary", Framed("a") + Framed("b")).status().code(), StatusCode::kUnimplemented);
  EXPECT_EQ(Call("/unary", Framed("abc").substr(0, 6)).status().code(), StatusCode::kInternal);
  std::string compressed = Framed("abc");
  compressed[0] = 1;
  EXPECT_EQ(Call("/unary", compressed).status().code(), StatusCode::kInternal);
  compressed[0] = 7;
  EXPECT_EQ(Call("/unary", compressed).status().code(), StatusCode::kInternal);
  const Status large = Call("/unary", Framed(std::string(101, 'x'))).status();
  EXPECT_EQ(large.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(large.message(), HasSubstr("(101 vs. 100)"));
  EXPECT_EQ(*Call("/unary", Framed("still fine")), "still fine");
}

TEST_F(GrpcCallTest, StreamsEchoEveryMessage) {
  Answer answer;
  RequestSender* sender = client->Send(MakeGrpcRequest("h", "/stream"), false,
                                       std::make_unique<RecordingReceiver>(answer));
  sender->Write(Text(Framed("one")));
  Exchange();
  EXPECT_EQ(answer.body, Framed("one"));
  sender->Write(Text(Framed("two")));
  sender->Finish();
  Exchange();
  EXPECT_EQ(answer.body, Framed("one") + Framed("two"));
  EXPECT_EQ(answer.events.back(), "end grpc-status=0");
}

TEST_F(GrpcCallTest, AStreamsBadFramingIsItsStatus) {
  Answer answer;
  RequestSender* sender = client->Send(MakeGrpcRequest("h", "/stream"), false,
                                       std::make_unique<RecordingReceiver>(answer));
  sender->Write(Text(Framed(std::string(101, 'x'))));
  Exchange();
  EXPECT_THAT(answer.events.back(), HasSubstr("end grpc-status=8"));
  EXPECT_EQ(reset.code(), StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace tepal::http
