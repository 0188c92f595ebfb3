#include "sim/world.h"

#include <gtest/gtest.h>

#include <string>

namespace tepal::sim {
namespace {

const env::Address kServer{env::Address::Family::kIp4, "10.0.0.1", 80};

// Sends `to_send`, half-closes and collects what comes; keeps the stream until told otherwise.
struct Peer final : env::StreamEvents {
  Peer(env::EventLoop& loop, std::unique_ptr<env::Stream> from, std::string text)
      : stream(std::move(from)), to_send(std::move(text)) {
    stream->Attach(loop, *this);
    stream->Watch(true, true);
  }
  void OnReadable() override {
    std::array<std::byte, 1000> room;
    const env::IoResult result = stream->Read(room);
    if (result.outcome == env::IoResult::Outcome::kDone) {
      received.append(reinterpret_cast<const char*>(room.data()), result.bytes);
    } else if (result.outcome != env::IoResult::Outcome::kWouldBlock) {
      last = result.outcome;
      readable = false;
    }
    stream->Watch(readable, sent < to_send.size());
  }
  void OnWritable() override {
    const env::ConstBytes rest{reinterpret_cast<const std::byte*>(to_send.data()) + sent,
                               to_send.size() - sent};
    const env::IoResult result = stream->Write({&rest, 1});
    if (result.outcome == env::IoResult::Outcome::kFailed) sent = to_send.size();
    sent += result.bytes;
    if (sent == to_send.size()) stream->ShutdownWrite();
    stream->Watch(readable, sent < to_send.size());
  }

  std::unique_ptr<env::Stream> stream;
  const std::string to_send;
  size_t sent = 0;
  bool readable = true;
  std::string received;
  env::IoResult::Outcome last = env::IoResult::Outcome::kWouldBlock;
};

std::string Pattern(size_t size, char first) {
  std::string text(size, ' ');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>(first + static_cast<char>(i % 26));
  return text;
}

struct Exchange {
  explicit Exchange(uint64_t seed, NetworkOptions options = {}) : world(seed, options) {
    env::EventLoop& server_loop = world.AddLoop();
    env::EventLoop& client_loop = world.AddLoop();
    listener = server_loop
                   .Listen(kServer, {},
                           [this, &server_loop](std::unique_ptr<env::Stream> stream) {
                             server = std::make_unique<Peer>(server_loop, std::move(stream),
                                                             Pattern(300'000, 'A'));
                           })
                   .value();
    connecting = client_loop.Connect(
        kServer, [this, &client_loop](Result<std::unique_ptr<env::Stream>> stream) {
          client =
              std::make_unique<Peer>(client_loop, std::move(stream).value(), Pattern(200'000, 'a'));
        });
    ended = world.RunUntil(
        [this] {
          return server && client && server->last != env::IoResult::Outcome::kWouldBlock &&
                 client->last != env::IoResult::Outcome::kWouldBlock;
        },
        10s);
  }
  World world;
  std::unique_ptr<env::Listener> listener;
  std::unique_ptr<env::EventLoop::Connecting> connecting;
  std::unique_ptr<Peer> server;
  std::unique_ptr<Peer> client;
  bool ended = false;
};

TEST(WorldTest, BytesArriveWholeAndInOrderWhateverTheSeed) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const Exchange exchange(seed);
    ASSERT_TRUE(exchange.ended);
    ASSERT_EQ(exchange.client->received, exchange.server->to_send);
    ASSERT_EQ(exchange.server->received, exchange.client->to_send);
    ASSERT_EQ(exchange.client->last, env::IoResult::Outcome::kEnd);
  }
}

TEST(WorldTest, ASeedRepeatsItselfAndAnotherDiffers) {
  EXPECT_EQ(Exchange(7).world.now(), Exchange(7).world.now());
  EXPECT_NE(Exchange(7).world.now(), Exchange(8).world.now());
}

TEST(WorldTest, AResetIsSeenByBothAndLosesOnlyTheTail) {
  NetworkOptions options;
  options.reset = 1.0;
  options.reset_after_max = 2ms;
  int resets = 0;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const Exchange exchange(seed, options);
    ASSERT_TRUE(exchange.ended);
    const std::string& got = exchange.client->received;
    ASSERT_EQ(got, exchange.server->to_send.substr(0, got.size()));
    resets += exchange.client->last == env::IoResult::Outcome::kFailed ? 1 : 0;
  }
  EXPECT_GT(resets, 10);
}

TEST(WorldTest, ClosingWithUnreadBytesResetsThePeer) {
  World world(1);
  env::EventLoop& loop = world.AddLoop();
  std::unique_ptr<env::Stream> accepted;
  auto listener =
      loop.Listen(kServer, {},
                  [&](std::unique_ptr<env::Stream> stream) { accepted = std::move(stream); })
          .value();
  std::unique_ptr<Peer> client;
  const auto connecting = loop.Connect(kServer, [&](Result<std::unique_ptr<env::Stream>> stream) {
    client = std::make_unique<Peer>(loop, std::move(stream).value(), "never read");
  });
  world.RunFor(100ms);
  ASSERT_TRUE(accepted && client);
  accepted.reset();
  world.RunFor(100ms);
  EXPECT_EQ(client->last, env::IoResult::Outcome::kFailed);
}

TEST(WorldTest, ConnectingToNobodyIsRefused) {
  World world(1);
  env::EventLoop& loop = world.AddLoop();
  Status why;
  const auto connecting = loop.Connect(
      kServer, [&](Result<std::unique_ptr<env::Stream>> stream) { why = stream.status(); });
  world.RunFor(1s);
  EXPECT_EQ(why.code(), StatusCode::kUnavailable);
}

TEST(WorldTest, TimersPostsAndDeferredTasksKeepTheirOrder) {
  World world(3);
  env::EventLoop& loop = world.AddLoop();
  std::string order;
  loop.RunAfter(5s, [&] { order += 'd'; });
  const auto cancelled = loop.RunAfter(4s, [&] { order += 'x'; });
  loop.Post([&] {
    order += 'a';
    loop.Defer([&] { order += 'c'; });
  });
  loop.Post([&] { order += 'b'; });
  loop.Cancel(cancelled);
  world.RunFor(10s);
  EXPECT_EQ(order, "abcd");
}

}  // namespace
}  // namespace tepal::sim
