#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/text.h"
#include "core/runtime/runtime.h"

namespace tepal::runtime {
namespace {

using env::Address;
using env::IoResult;
using env::Stream;

std::string_view Text(const std::byte* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// Collects what comes; runs a hook on each event.
struct Peer final : env::StreamEvents {
  Peer(env::EventLoop& loop, std::unique_ptr<Stream> from) : stream(std::move(from)) {
    stream->Attach(loop, *this);
    stream->Watch(true, false);
  }
  void OnReadable() override {
    std::array<std::byte, 4096> room;
    const IoResult result = stream->Read(room);
    if (result.outcome == IoResult::Outcome::kDone) {
      received += Text(room.data(), result.bytes);
    } else if (result.outcome != IoResult::Outcome::kWouldBlock) {
      last = result;
      stream->Watch(false, false);
    }
    if (on_event) on_event();
  }
  void OnWritable() override {
    if (on_event) on_event();
  }
  void Send(std::string_view text) {
    const env::ConstBytes piece{reinterpret_cast<const std::byte*>(text.data()), text.size()};
    EXPECT_EQ(stream->Write({&piece, 1}).bytes, text.size());
  }

  std::unique_ptr<Stream> stream;
  std::string received;
  IoResult last;
  Function<void()> on_event;
};

class SocketTest : public testing::Test {
 protected:
  SocketTest() {
    loop = EpollLoop::New().value();
    // A hang is a failure, not a stuck build.
    loop->RunAfter(10s, [this] {
      ADD_FAILURE() << "the test took too long";
      loop->Stop();
    });
  }
  // A listener on `address` and one connection to it, both ends in `server` and `client`.
  void ConnectPair(const Address& address) {
    Start(address);
    loop->Run();
    ASSERT_NE(server, nullptr);
    ASSERT_NE(client, nullptr);
  }
  void Start(const Address& address) {
    auto listening = loop->Listen(address, {}, [this](std::unique_ptr<Stream> stream) {
      server = std::make_unique<Peer>(*loop, std::move(stream));
      if (client) loop->Stop();
    });
    ASSERT_TRUE(listening.ok()) << listening.status().ToString();
    listener = std::move(listening).value();
    connecting = loop->Connect(listener->address(), [this](Result<std::unique_ptr<Stream>> made) {
      ASSERT_TRUE(made.ok()) << made.status().ToString();
      client = std::make_unique<Peer>(*loop, std::move(made).value());
      if (server) loop->Stop();
    });
    EXPECT_EQ(client, nullptr);
  }

  std::unique_ptr<EpollLoop> loop;
  std::unique_ptr<env::Listener> listener;
  std::unique_ptr<env::EventLoop::Connecting> connecting;
  std::unique_ptr<Peer> server;
  std::unique_ptr<Peer> client;
};

const Address kAnyPort{Address::Family::kIp4, "127.0.0.1", 0};

void EchoOver(EpollLoop& loop, Peer& server, Peer& client) {
  server.on_event = [&] {
    if (server.last.outcome == IoResult::Outcome::kEnd) {
      server.Send(server.received);
      server.stream->ShutdownWrite();
    }
  };
  client.on_event = [&] {
    if (client.last.outcome == IoResult::Outcome::kEnd) loop.Stop();
  };
  client.Send("hello");
  client.stream->ShutdownWrite();
  loop.Run();
  EXPECT_EQ(client.received, "hello");
}

TEST_F(SocketTest, EchoesOverIp4) {
  ConnectPair(kAnyPort);
  EXPECT_NE(listener->address().port, 0);
  EXPECT_EQ(client->stream->peer_address(), listener->address());
  EXPECT_EQ(server->stream->peer_address(), client->stream->local_address());
  EchoOver(*loop, *server, *client);
}

TEST_F(SocketTest, WaitsForManyBytesAndForTheEnd) {
  ConnectPair(kAnyPort);
  constexpr size_t kHalf = 1500;
  server->stream->WaitFor(2 * kHalf);
  int events = 0;
  server->on_event = [&] { ++events; };
  client->Send(std::string(kHalf, 'x'));
  loop->RunAfter(20ms, [&] {
    EXPECT_EQ(events, 0);
    client->Send(std::string(kHalf, 'x'));
    loop->RunAfter(20ms, [&] {
      EXPECT_EQ(events, 1);
      EXPECT_EQ(server->received.size(), 2 * kHalf);
      client->Send("x");
      client->stream->ShutdownWrite();
      server->on_event = [&] { loop->Stop(); };
    });
  });
  loop->Run();
  EXPECT_EQ(server->received.size(), 2 * kHalf + 1);
}

TEST_F(SocketTest, AWishTakenBackReportsWhatCame) {
  ConnectPair(kAnyPort);
  server->stream->WaitFor(100);
  server->on_event = [&] { loop->Stop(); };
  client->Send("x");
  loop->RunAfter(20ms, [&] { server->stream->WaitFor(1); });
  loop->Run();
  EXPECT_EQ(server->received, "x");
}

TEST_F(SocketTest, EchoesOverIp6) {
  ConnectPair({Address::Family::kIp6, "::1", 0});
  EXPECT_EQ(client->stream->peer_address(), listener->address());
  EchoOver(*loop, *server, *client);
}

TEST_F(SocketTest, EchoesOverAUnixSocketAndRemovesItsFile) {
  const Address address{Address::Family::kUnix,
                        Concat(testing::TempDir(), "/socket_test.", getpid()), 0};
  ConnectPair(address);
  EXPECT_EQ(listener->address(), address);
  EchoOver(*loop, *server, *client);
  EXPECT_EQ(access(address.host.c_str(), F_OK), 0);
  listener.reset();
  EXPECT_NE(access(address.host.c_str(), F_OK), 0);
}

TEST_F(SocketTest, AStaleUnixSocketIsReplacedAndALiveOneIsNot) {
  const Address address{Address::Family::kUnix,
                        Concat(testing::TempDir(), "/socket_test.stale.", getpid()), 0};
  auto first = loop->Listen(address, {}, [](std::unique_ptr<Stream>) {});
  ASSERT_TRUE(first.ok());
  const auto second = loop->Listen(address, {}, [](std::unique_ptr<Stream>) {});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), StatusCode::kAlreadyExists);
  // A crashed process leaves its file behind: keep a second name of it while the listener goes.
  const std::string kept = address.host + ".kept";
  ASSERT_EQ(link(address.host.c_str(), kept.c_str()), 0);
  first = InvalidArgument("closed");
  ASSERT_EQ(rename(kept.c_str(), address.host.c_str()), 0);
  EXPECT_TRUE(loop->Listen(address, {}, [](std::unique_ptr<Stream>) {}).ok());
}

TEST_F(SocketTest, APortInUseIsReportedWithItsHolder) {
  auto first = loop->Listen(kAnyPort, {}, [](std::unique_ptr<Stream>) {});
  ASSERT_TRUE(first.ok());
  const auto second = loop->Listen((*first)->address(), {}, [](std::unique_ptr<Stream>) {});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(second.status().message().find(Concat("address ", (*first)->address().ToString(),
                                                  " is in use by process ", getpid(), " (")),
            0u)
      << second.status().message();
}

TEST_F(SocketTest, AListeningDescriptorIsTakenOverAndOthersAreRefused) {
  auto first = loop->Listen(kAnyPort, {}, [](std::unique_ptr<Stream>) {});
  ASSERT_TRUE(first.ok());
  EXPECT_FALSE(loop->ListenOn(STDERR_FILENO, [](std::unique_ptr<Stream>) {}).ok());
  const int plain = socket(AF_INET, SOCK_STREAM, 0);
  const auto refused = loop->ListenOn(plain, [](std::unique_ptr<Stream>) {});
  EXPECT_EQ(refused.status().code(), StatusCode::kInvalidArgument);
  ASSERT_EQ(listen(plain, 1), 0);
  EXPECT_TRUE(loop->ListenOn(plain, [](std::unique_ptr<Stream>) {}).ok());
}

TEST_F(SocketTest, ARefusedConnectionIsAnError) {
  auto listening = loop->Listen(kAnyPort, {}, [](std::unique_ptr<Stream>) {});
  const Address address = (*listening)->address();
  listening = InvalidArgument("closed");
  Status why;
  connecting = loop->Connect(address, [&](Result<std::unique_ptr<Stream>> made) {
    why = made.status();
    connecting.reset();  // Inside its own call.
    loop->Stop();
  });
  loop->Run();
  EXPECT_EQ(why.code(), StatusCode::kUnavailable) << why.ToString();
  EXPECT_NE(why.message().find(address.ToString()), std::string::npos);
}

TEST_F(SocketTest, AConnectionGivenUpIsNotReported) {
  auto listening = loop->Listen(kAnyPort, {}, [](std::unique_ptr<Stream>) {});
  connecting = loop->Connect((*listening)->address(),
                             [&](Result<std::unique_ptr<Stream>>) { ADD_FAILURE(); });
  connecting.reset();
  loop->RunAfter(5ms, [&] { loop->Stop(); });
  loop->Run();
}

// Both ends have an event in the same batch; whichever comes first destroys both.
TEST_F(SocketTest, StreamsMayBeDestroyedWithEventsPending) {
  for (int i = 0; i < 20; ++i) {
    ConnectPair(kAnyPort);
    const auto destroy = [&] {
      client.reset();
      server.reset();
      loop->Stop();
    };
    client->on_event = [&destroy] { destroy(); };
    server->on_event = [&destroy] { destroy(); };
    client->Send("a");
    server->Send("b");
    loop->Run();
    ASSERT_EQ(client, nullptr);
  }
}

TEST_F(SocketTest, AResetIsReportedToWhoeverWatches) {
  ConnectPair(kAnyPort);
  client->on_event = [&] { loop->Stop(); };
  client->stream->Watch(true, false);
  server->stream->AbortOnClose();
  server.reset();
  loop->Run();
  EXPECT_EQ(client->last.outcome, IoResult::Outcome::kFailed);
  EXPECT_EQ(client->last.error, ECONNRESET);
}

TEST_F(SocketTest, AStreamThatWatchesNothingDoesNotSpinOnAReset) {
  ConnectPair(kAnyPort);
  client->on_event = [&] { ADD_FAILURE() << "reported although not watched"; };
  client->stream->Watch(false, false);
  server->stream->AbortOnClose();
  server.reset();
  loop->RunAfter(5ms, [&] { loop->Stop(); });
  loop->Run();
}

TEST_F(SocketTest, WritesWhatFitsAndGoesOnWhenTheReaderCatchesUp) {
  ConnectPair(kAnyPort);
  const std::string block(1 << 20, 'x');
  const std::vector<env::ConstBytes> pieces(
      100, {reinterpret_cast<const std::byte*>(block.data()), block.size() / 100});
  size_t sent = 0;
  const auto send_all = [&] {
    while (true) {
      const IoResult result = client->stream->Write(pieces);
      if (result.outcome != IoResult::Outcome::kDone) break;
      sent += result.bytes;
      if (sent > (16u << 20)) break;
    }
  };
  send_all();
  const size_t sent_at_first = sent;
  client->on_event = [&] {
    send_all();
    loop->Stop();
  };
  client->stream->Watch(false, true);
  loop->Run();
  EXPECT_GT(sent, sent_at_first);
}

// With no descriptor left, accepting rests instead of spinning, and goes on when there is one.
TEST_F(SocketTest, AcceptingRestsWhileThereIsNoDescriptor) {
  Start(kAnyPort);
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  const int highest = dup(STDERR_FILENO);
  close(highest);
  const rlimit none{static_cast<rlim_t>(highest), limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  loop->RunAfter(20ms, [&] {
    EXPECT_EQ(server, nullptr);
    setrlimit(RLIMIT_NOFILE, &limit);
  });
  const Instant start = loop->Now();
  loop->Run();
  setrlimit(RLIMIT_NOFILE, &limit);
  ASSERT_NE(server, nullptr);
  EXPECT_GT(loop->Now() - start, 20ms);
}

// Connections that the kernel has completed are not lost when the listener goes.
TEST_F(SocketTest, WhoeverWaitsIsAcceptedBeforeTheListenerCloses) {
  constexpr int kClients = 100;
  std::vector<std::unique_ptr<Stream>> accepted;
  auto listening = loop->Listen(
      kAnyPort, {}, [&](std::unique_ptr<Stream> stream) { accepted.push_back(std::move(stream)); });
  ASSERT_TRUE(listening.ok());
  std::vector<int> clients;
  for (int i = 0; i < kClients; ++i) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons((*listening)->address().port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    clients.push_back(socket(AF_INET, SOCK_STREAM, 0));
    ASSERT_EQ(connect(clients.back(), reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
  }
  (*listening)->AcceptWaiting();
  EXPECT_EQ(accepted.size(), size_t{kClients});
  for (const int descriptor : clients) close(descriptor);
}

TEST_F(SocketTest, APausedListenerAcceptsLater) {
  Start(kAnyPort);
  listener->Pause(true);
  loop->RunAfter(10ms, [&] {
    EXPECT_EQ(server, nullptr);
    listener->Pause(false);
  });
  loop->Run();
  EXPECT_NE(server, nullptr);
}

}  // namespace
}  // namespace tepal::runtime
