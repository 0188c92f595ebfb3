#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "network/http/grpc.h"
#include "network/http/session_test_support.h"

namespace tepal::http {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr size_t kMessageMax = 1000;
constexpr GrpcCompression kGzip{Encoding::kGzip, Effort::kMedium};
const std::string kLong(kMessageMax, 'x');

// A service that echoes every message, compressed as the client accepts; and what the wire carried.
class GrpcCompressionTest : public ::testing::Test, public RequestHandler {
 protected:
  std::unique_ptr<RequestReceiver> OnRequest(RequestHead head, ResponseSender& sender) override {
    const GrpcCompression compression = GrpcAnswerCompression(head.headers, effort);
    GrpcStart(sender, nullptr, compression);
    GrpcStreamRequest::Calls calls;
    calls.on_message = [this, &sender, compression](Buffer message) {
      received.emplace_back(message.text());
      GrpcWrite(sender, {std::move(message)}, compression);
    };
    calls.on_end = [&sender] { GrpcFinish(sender, Status()); };
    calls.on_reset = [](const Status&) {};
    return std::make_unique<GrpcStreamRequest>(head, sender, kMessageMax, std::move(calls));
  }

  // Sends `body` under this grpc-encoding.
  void Send(std::string_view encoding, std::string_view body) {
    GrpcStreamResponse::Calls calls;
    calls.on_start = [this](const Headers& headers) {
      answered_encoding = std::string(headers.Get("grpc-encoding").value_or(""));
    };
    calls.on_message = [this](Buffer message) {
      EXPECT_EQ(reinterpret_cast<uintptr_t>(message.data()) % kSlabAlignment, 0u);
      answered.emplace_back(message.text());
    };
    calls.on_end = [this](GrpcEnd how) { end = std::move(how); };
    RequestHead head = MakeGrpcRequest("h", "/s/m");
    head.headers.Set("grpc-accept-encoding", accepts);
    if (!encoding.empty()) head.headers.Add("grpc-encoding", encoding);
    RequestSender* sender = client->Send(
        head, false, std::make_unique<GrpcStreamResponse>(kMessageMax, std::move(calls)));
    sender->Write(Text(body));
    sender->Finish();
    MoveAll(*client, *server, host.now);
  }
  static std::string Framed(std::string_view message, GrpcCompression compression) {
    return std::string(Flatten(GrpcFrame(Text(message), compression)).text());
  }

  Limits limits;
  TestHost host;
  std::string accepts{kGrpcAcceptEncoding};
  std::optional<Effort> effort = Effort::kLow;
  std::unique_ptr<Session> server = NewHttp2ServerSession(limits, host, *this);
  std::unique_ptr<ClientSession> client = NewHttp2ClientSession(limits, host);
  std::vector<std::string> received;
  std::string answered_encoding;
  std::vector<std::string> answered;
  GrpcEnd end;
};

TEST_F(GrpcCompressionTest, BothWaysByEveryEncoding) {
  for (const std::string_view name : {"gzip", "deflate"}) {
    received.clear();
    answered.clear();
    accepts = "identity, " + std::string(name);
    const GrpcCompression compression{*ContentEncoding(name), Effort::kHigh};
    EXPECT_LT(Framed(kLong, compression).size(), 100u);
    Send(name, Framed(kLong, compression) + Framed("", compression) + Framed("plain", {}));
    EXPECT_THAT(received, ElementsAre(kLong, "", "plain"));
    EXPECT_THAT(answered, ElementsAre(kLong, "", "plain"));
    EXPECT_EQ(answered_encoding, name);
    EXPECT_TRUE(end.status.ok()) << end.status.ToString();
  }
}

TEST_F(GrpcCompressionTest, NobodyIsAnsweredInWhatHeDoesNotTake) {
  for (const char* taken : {"identity", "snappy", "", "gzipx"}) {
    accepts = taken;
    Send("gzip", Framed(kLong, kGzip));
    EXPECT_EQ(answered_encoding, "") << taken;
  }
  accepts = kGrpcAcceptEncoding;
  effort = std::nullopt;
  Send("gzip", Framed(kLong, kGzip));
  EXPECT_EQ(answered_encoding, "");
  EXPECT_THAT(answered.back(), kLong);
}

TEST_F(GrpcCompressionTest, WhatComesOutIsInTheBudget) {
  Budget budget(3 * kMessageMax);
  Limits limited = limits;
  limited.body_budget = &budget;
  server = NewHttp2ServerSession(limited, host, *this);
  client = NewHttp2ClientSession(limits, host);
  Send("gzip", Framed(kLong, kGzip));
  EXPECT_TRUE(end.status.ok()) << end.status.ToString();
  EXPECT_EQ(budget.used(), 0u);
  budget.Take(5 * kMessageMax / 2);
  server = NewHttp2ServerSession(limited, host, *this);
  client = NewHttp2ClientSession(limits, host);
  Send("gzip", Framed(kLong, kGzip));
  EXPECT_EQ(end.status.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(end.status.message()), HasSubstr("no memory"));
  EXPECT_EQ(budget.refusals(), 1u);
}

TEST_F(GrpcCompressionTest, WhatDoesNotShrinkIsSentPlain) {
  const std::string framed = Framed("ab", kGzip);
  EXPECT_EQ(framed, std::string("\0\0\0\0\2ab", 7));
}

TEST_F(GrpcCompressionTest, AnUnknownEncodingIsRefusedByName) {
  std::string body = Framed(kLong, kGzip);
  Send("snappy", body);
  EXPECT_EQ(end.status.code(), StatusCode::kUnimplemented);
  EXPECT_THAT(end.status.message(), HasSubstr("'snappy'"));
  EXPECT_EQ(end.initial.Get("grpc-accept-encoding"), kGrpcAcceptEncoding);
  // Its plain messages are fine.
  Send("snappy", Framed("plain", {}));
  EXPECT_THAT(answered, ElementsAre("plain"));
}

TEST_F(GrpcCompressionTest, MalformedMessages) {
  Send("", Framed(kLong, kGzip));
  EXPECT_EQ(end.status.code(), StatusCode::kInternal);
  EXPECT_THAT(end.status.message(), HasSubstr("names no encoding"));
  Send("identity", Framed(kLong, kGzip));
  EXPECT_EQ(end.status.code(), StatusCode::kInternal);
  std::string broken = Framed(kLong, kGzip);
  broken[20] = static_cast<char>(~broken[20]);
  Send("gzip", broken);
  EXPECT_EQ(end.status.code(), StatusCode::kInternal);
  EXPECT_THAT(end.status.message(), HasSubstr("not valid gzip"));
  Send("gzip", std::string("\1\0\0\0\0", 5));
  EXPECT_EQ(end.status.code(), StatusCode::kInternal);
  EXPECT_THAT(received, ElementsAre());
}

TEST_F(GrpcCompressionTest, TheLimitIsOfWhatComesOut) {
  Send("gzip", Framed(kLong + "x", kGzip));
  EXPECT_EQ(end.status.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(end.status.message(), HasSubstr("over 1000 bytes when decompressed"));
  EXPECT_THAT(received, ElementsAre());
}

// A unary refusal has no head but its trailers.
TEST(GrpcUnaryCompressionTest, TheRefusalNamesWhatWeTake) {
  Limits limits;
  TestHost host;
  struct Handler final : RequestHandler {
    std::unique_ptr<RequestReceiver> OnRequest(RequestHead head, ResponseSender& sender) override {
      return std::make_unique<GrpcUnaryRequest>(
          head, sender, kMessageMax, [](Buffer) { ADD_FAILURE() << "taken all the same"; });
    }
  } handler;
  const auto server = NewHttp2ServerSession(limits, host, handler);
  const auto client = NewHttp2ClientSession(limits, host);
  RequestHead head = MakeGrpcRequest("h", "/s/m");
  head.headers.Add("grpc-encoding", "zstd");
  GrpcEnd end;
  RequestSender* sender = client->Send(
      head, false, std::make_unique<GrpcUnaryResponse>(kMessageMax, [&](GrpcEnd how, Buffer) {
        end = std::move(how);
      }));
  GrpcWrite(*sender, Text(kLong), kGzip);
  sender->Finish();
  MoveAll(*client, *server, host.now);
  EXPECT_EQ(end.status.code(), StatusCode::kUnimplemented);
  EXPECT_EQ(end.trailers.Get("grpc-accept-encoding"), kGrpcAcceptEncoding);
}

}  // namespace
}  // namespace tepal::http
