// A connection that breaks after any byte, either way: every call ends once on both sides, with
// what is true about it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "network/http/grpc.h"
#include "network/http/session_test_support.h"

namespace tepal::http {
namespace {

constexpr size_t kMessageMax = 10'000;
constexpr GrpcCompression kGzip{Encoding::kGzip, Effort::kLow};

// Several messages, one of them empty, one that gzip makes small, one that it does not.
std::vector<std::string> Messages() {
  std::string noise;
  for (uint32_t i = 0, x = 1; i < 300; ++i) {
    x = x * 1664525 + 1013904223;
    noise.push_back(static_cast<char>(x >> 24));
  }
  return {"one", "", std::string(5000, 'z'), noise};
}

// What became of a call on the server.
struct Served {
  std::vector<std::string> messages;
  int ended = 0;
  int reset = 0;
};

// Echoes; "/unary" one message, "/stream" each as it comes.
class EchoService final : public RequestHandler {
 public:
  std::unique_ptr<RequestReceiver> OnRequest(RequestHead head, ResponseSender& sender) override {
    Served& served = calls[head.target];
    const GrpcCompression compression = GrpcAnswerCompression(head.headers, Effort::kLow);
    const auto on_reset = [&served](const Status& why) {
      EXPECT_FALSE(why.ok());
      ++served.reset;
    };
    if (head.target == "/unary") {
      return std::make_unique<GrpcUnaryRequest>(
          head, sender, kMessageMax,
          [&served, &sender, compression](Buffer message) {
            served.messages.emplace_back(message.text());
            ++served.ended;
            GrpcRespond(sender, {std::move(message)}, nullptr, compression);
          },
          on_reset);
    }
    GrpcStart(sender, nullptr, compression);
    GrpcStreamRequest::Calls events;
    events.on_message = [&served, &sender, compression](Buffer message) {
      served.messages.emplace_back(message.text());
      GrpcWrite(sender, {std::move(message)}, compression);
    };
    events.on_end = [&served, &sender] {
      ++served.ended;
      GrpcFinish(sender, Status());
    };
    events.on_reset = on_reset;
    return std::make_unique<GrpcStreamRequest>(head, sender, kMessageMax, std::move(events));
  }

  std::map<std::string, Served> calls;
};

// What became of a call on the client.
struct Called {
  std::vector<std::string> sent;
  std::vector<std::string> messages;
  std::vector<GrpcEnd> ends;
};

class GrpcCutTest : public ::testing::Test {
 protected:
  struct Bytes {
    size_t up = 0;
    size_t down = 0;
  };

  // Makes both calls over a connection that carries that much; how much it has carried.
  Bytes Run(Bytes most) {
    service_ = EchoService();
    unary_ = {{"question"}, {}, {}};
    stream_ = {Messages(), {}, {}};
    const auto server = NewHttp2ServerSession(limits_, host_, service_);
    const auto client = NewHttp2ClientSession(limits_, host_);
    Call(*client, "/stream", stream_);
    Call(*client, "/unary", unary_);
    Bytes moved;
    bool cut = false;
    const auto move = [&](Session& from, Session& to, size_t& carried, size_t carried_max) {
      const std::string output = TakeOutput(from, host_.now, carried_max - carried);
      carried += output.size();
      cut = cut || carried == carried_max;
      for (std::string_view rest = output; !rest.empty();) {
        const int64_t taken = GiveOnce(to, rest, host_.now);
        if (taken <= 0) break;
        rest.remove_prefix(static_cast<size_t>(taken));
      }
      return output.size();
    };
    while (!cut) {
      const size_t up = move(*client, *server, moved.up, most.up);
      const size_t down = cut ? 0 : move(*server, *client, moved.down, most.down);
      if (up + down == 0) break;
    }
    client->OnDisconnect(Unavailable("cut"));
    server->OnDisconnect(Unavailable("cut"));
    return moved;
  }

  static void Call(ClientSession& client, std::string_view path, Called& called) {
    GrpcStreamResponse::Calls events;
    events.on_message = [&called](Buffer message) {
      EXPECT_TRUE(called.ends.empty());
      called.messages.emplace_back(message.text());
    };
    events.on_end = [&called](GrpcEnd end) { called.ends.push_back(std::move(end)); };
    RequestSender* sender =
        client.Send(MakeGrpcRequest("h", path, std::nullopt, kGzip), false,
                    std::make_unique<GrpcStreamResponse>(kMessageMax, std::move(events)));
    for (const std::string& message : called.sent) GrpcWrite(*sender, Text(message), kGzip);
    sender->Finish();
  }

  static bool IsPrefix(const std::vector<std::string>& part,
                       const std::vector<std::string>& whole) {
    return part.size() <= whole.size() && std::equal(part.begin(), part.end(), whole.begin());
  }

  void Check(const Called& called, const std::string& path) {
    ASSERT_EQ(called.ends.size(), 1u);
    const GrpcEnd& end = called.ends.front();
    const auto served = service_.calls.find(path);
    EXPECT_TRUE(IsPrefix(called.messages, called.sent));
    if (end.status.ok()) {
      EXPECT_EQ(called.messages, called.sent);
    } else {
      EXPECT_EQ(end.status.ToString(), "UNAVAILABLE: cut");
    }
    if (served == service_.calls.end()) {
      EXPECT_FALSE(end.status.ok());
      return;
    }
    EXPECT_FALSE(end.unprocessed);
    EXPECT_TRUE(IsPrefix(served->second.messages, called.sent));
    EXPECT_LE(served->second.ended, 1);
    EXPECT_LE(served->second.reset, 1);
    EXPECT_GE(served->second.ended + served->second.reset, 1);
    if (served->second.ended == 1) {
      EXPECT_EQ(served->second.messages, called.sent);
    }
  }
  void CheckBoth() {
    Check(stream_, "/stream");
    Check(unary_, "/unary");
  }
  bool AllWell() const {
    return stream_.ends.front().status.ok() && unary_.ends.front().status.ok();
  }

  const Limits limits_{};
  TestHost host_;
  EchoService service_;
  Called unary_;
  Called stream_;
};

TEST_F(GrpcCutTest, AfterEveryByte) {
  constexpr size_t kNever = SIZE_MAX;
  const Bytes whole = Run({kNever, kNever});
  CheckBoth();
  ASSERT_TRUE(AllWell());
  for (size_t up = 0; up <= whole.up; ++up) {
    SCOPED_TRACE("up to the server: " + std::to_string(up));
    Run({up, kNever});
    CheckBoth();
    if (HasFailure()) return;
  }
  for (size_t down = 0; down < whole.down; ++down) {
    SCOPED_TRACE("down to the client: " + std::to_string(down));
    Run({kNever, down});
    CheckBoth();
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace tepal::http
