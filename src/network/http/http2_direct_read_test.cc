#include "network/http/http2_direct_read.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "network/http/grpc.h"
#include "network/http/http2_test_support.h"

namespace tepal::http {
namespace {

// Makes one read of at most `bytes_max`; what the reader then gives, and the runs of it that lie in
// `memory`.
struct Given {
  std::string bytes;
  size_t in_place = 0;
};

Given ReadOnce(Http2DirectRead& reader, const Buffer& memory, std::string_view wire,
               size_t bytes_max = SIZE_MAX) {
  std::byte scratch[1000];
  const auto pieces = reader.Plan(memory, scratch);
  const size_t taken = Scatter(wire.substr(0, bytes_max), pieces);
  reader.Filled(taken);
  Given given;
  for (auto run = reader.Next(); !run.empty(); run = reader.Next()) {
    given.bytes.append(reinterpret_cast<const char*>(run.data()), run.size());
    const auto begin = reinterpret_cast<uintptr_t>(run.data());
    const auto first = reinterpret_cast<uintptr_t>(memory.data());
    if (begin >= first && begin < first + memory.size()) given.in_place += run.size();
  }
  reader.Release();
  return given;
}

std::string Data(uint32_t stream, size_t size, uint8_t flags = 0) {
  return Frame(0, flags, stream, std::string(size, static_cast<char>('a' + stream)));
}

TEST(Http2DirectRead, TheRestOfAFrameGoesToItsMemory) {
  Http2DirectRead reader(false);
  const std::string wire = Data(1, 5000);
  EXPECT_EQ(reader.stream(), 0);
  EXPECT_EQ(ReadOnce(reader, Buffer(), wire).bytes.size(), 1000u);
  EXPECT_EQ(reader.stream(), 1);
  const Given rest = ReadOnce(reader, Buffer::Allocate(8000), wire.substr(1000) + Data(3, 20, 1));
  EXPECT_EQ(rest.in_place, 4009u);
  EXPECT_EQ(rest.bytes, wire.substr(1000) + Data(3, 20, 1));
  EXPECT_EQ(reader.stream(), 0);
}

TEST(Http2DirectRead, FramesOfOneLengthAreGuessedToTheEndOfTheMessage) {
  Http2DirectRead reader(false);
  ReadOnce(reader, Buffer(), Data(1, 300) + Data(1, 300));
  EXPECT_EQ(reader.stream(), 1);
  // Three more, the last one shorter; what follows is another's.
  const std::string wire = Data(1, 300) + Data(1, 300) + Data(1, 100, 1) + Data(5, 30);
  const Given given = ReadOnce(reader, Buffer::Allocate(700), wire);
  EXPECT_EQ(given.in_place, 700u);
  EXPECT_EQ(given.bytes, wire);
}

TEST(Http2DirectRead, AWrongGuessChangesNothing) {
  for (const std::string& odd :
       {Data(3, 300), Data(1, 299), Data(1, 301), Data(1, 300, 8), Frame(1, 4, 1, kGet)}) {
    Http2DirectRead reader(false);
    ReadOnce(reader, Buffer(), Data(1, 300) + Data(1, 300));
    const std::string wire = Data(1, 300) + odd + Data(1, 300);
    const Given given = ReadOnce(reader, Buffer::Allocate(3000), wire);
    EXPECT_EQ(given.in_place, 300u);
    EXPECT_EQ(given.bytes, wire);
  }
}

TEST(Http2DirectRead, NothingIsGuessedAfterTheLastFrame) {
  Http2DirectRead reader(false);
  ReadOnce(reader, Buffer(), Data(1, 300) + Data(1, 300, 1));
  EXPECT_EQ(reader.stream(), 0);
}

// Frames of every kind, read in pieces of any size into memory that may end anywhere.
TEST(Http2DirectRead, GivesWhatCameWhateverItIs) {
  for (uint32_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    std::string wire;
    for (int i = 0; i < 60; ++i) {
      const uint32_t stream = random() % 8 == 0 ? 3 : 1;
      const auto type = static_cast<uint8_t>(random() % 10 == 0 ? random() % 9 : 0);
      const auto flags = static_cast<uint8_t>(random() % 10 == 0 ? random() % 16 : 0);
      const size_t size = random() % 4 == 0 ? random() % 2000 : 300;
      wire += Frame(type, flags, stream, std::string(size, static_cast<char>(i)));
    }
    Http2DirectRead reader(false);
    std::string_view left = wire;
    size_t in_place = 0;
    while (!left.empty()) {
      const Buffer memory = reader.stream() == 0 ? Buffer() : Buffer::Allocate(random() % 4000);
      const Given given = ReadOnce(reader, memory, left, 1 + random() % 3000);
      ASSERT_EQ(given.bytes, left.substr(0, given.bytes.size()));
      left.remove_prefix(given.bytes.size());
      in_place += given.in_place;
    }
    EXPECT_GT(in_place, 0u);
  }
}

// Through a whole server: a gRPC message lies where it was received.
class DirectGrpcTest : public Http2SessionTest {
 protected:
  class Handler final : public RequestHandler {
   public:
    std::unique_ptr<RequestReceiver> OnRequest(RequestHead head, ResponseSender& sender) override {
      return std::make_unique<GrpcUnaryRequest>(head, sender, 1 << 20, [&](Buffer message) {
        messages.emplace_back(message.text());
        GrpcRespond(sender, {});
      });
    }
    std::vector<std::string> messages;
  };

  // The request's frames; `interrupt` comes in the middle.
  static std::string Request(const std::string& message, size_t frame_bytes,
                             const std::string& interrupt) {
    std::string body(5, '\0');
    for (size_t i = 0; i < 4; ++i) body[1 + i] = static_cast<char>(message.size() >> (24 - 8 * i));
    body += message;
    std::string wire = Frame(1, 4, 1, std::string(kPost) + kGrpcType);
    for (size_t at = 0; at < body.size(); at += frame_bytes) {
      if (at / frame_bytes == 5) wire += interrupt;
      const bool last = at + frame_bytes >= body.size();
      wire += Frame(0, last ? 1 : 0, 1, std::string_view(body).substr(at, frame_bytes));
    }
    return wire;
  }
  // content-type by the static table's name 31.
  static constexpr char kGrpcType[] =
      "\x0f\x10\x10"
      "application/grpc";
};

TEST_F(DirectGrpcTest, MessagesComeWhole) {
  std::string message;
  for (int i = 0; i < 20'000; ++i) message.push_back(static_cast<char>(i * 7 + i / 256));
  const std::string ping = Frame(6, 0, 0, "12345678");
  for (const size_t frame_bytes : {size_t{100}, size_t{300}, size_t{1000}, size_t{16384}}) {
    for (const std::string& interrupt : {std::string(), ping}) {
      Handler direct;
      const auto session = NewHttp2ServerSession(limits, host, direct);
      Give(*session, std::string(kMagic) + Frame(4, 0, 0, ""), host.now);
      Give(*session, Request(message, frame_bytes, interrupt), host.now);
      ASSERT_EQ(direct.messages.size(), 1u);
      EXPECT_EQ(direct.messages[0], message);
      session->OnDisconnect(Unavailable("the end"));
    }
  }
}

// A stream that ends while its memory is being filled.
TEST_F(DirectGrpcTest, AResetInTheMiddleLosesOnlyThatMessage) {
  const std::string message(20'000, 'm');
  Handler direct;
  const auto session = NewHttp2ServerSession(limits, host, direct);
  Give(*session, std::string(kMagic) + Frame(4, 0, 0, ""), host.now);
  Give(*session, Request(message, 300, Frame(3, 0, 1, std::string_view("\0\0\0\x8", 4))), host.now);
  EXPECT_TRUE(direct.messages.empty());
  EXPECT_TRUE(session->Idle());
  session->OnDisconnect(Unavailable("the end"));
}

}  // namespace
}  // namespace tepal::http
