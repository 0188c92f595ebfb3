#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <set>

#include "core/env/datagrams.h"
#include "core/runtime/runtime.h"
#include "core/runtime/socket_address.h"
#include "core/runtime/unique_fd.h"

namespace tepal::runtime {
namespace {

// A plain socket of the test's own, blocking, on a free port.
class PlainSocket {
 public:
  PlainSocket() : fd_(socket(AF_INET, SOCK_DGRAM, 0)) {
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(fd_.get(), reinterpret_cast<const sockaddr*>(&any), sizeof(any)), 0);
  }
  env::Address address() const { return LocalAddress(fd_.get()); }
  std::string Receive(sockaddr_in& from) {
    char room[2000];
    socklen_t size = sizeof(from);
    const ssize_t got =
        recvfrom(fd_.get(), room, sizeof(room), 0, reinterpret_cast<sockaddr*>(&from), &size);
    return got < 0 ? std::string(strerror(errno)) : std::string(room, static_cast<size_t>(got));
  }
  void Send(const sockaddr_in& to, const std::string& text) {
    const ssize_t sent = sendto(fd_.get(), text.data(), text.size(), 0,
                                reinterpret_cast<const sockaddr*>(&to), sizeof(to));
    EXPECT_EQ(sent, static_cast<ssize_t>(text.size()));
  }

 private:
  UniqueFd fd_;
};

class DatagramSocketTest : public testing::Test {
 protected:
  DatagramSocketTest() {
    loop_ = EpollLoop::New().value();
    loop_->RunAfter(10s, [this] {
      ADD_FAILURE() << "the test took too long";
      loop_->Stop();
    });
  }
  void Open(const env::Address& peer) {
    auto socket = loop_->OpenDatagrams(peer, [this] { Read(); });
    ASSERT_TRUE(socket.ok()) << socket.status().message();
    socket_ = *std::move(socket);
  }
  void Read() {
    std::byte room[8];
    const env::IoResult result = socket_->Receive(room);
    if (result.outcome == env::IoResult::Outcome::kFailed) error_ = result.error;
    if (result.outcome == env::IoResult::Outcome::kDone) {
      received_.emplace_back(reinterpret_cast<const char*>(room), result.bytes);
    }
    if (error_ != 0 || received_.size() == wanted_) loop_->Stop();
  }
  env::IoResult Send(std::string_view text) {
    return socket_->Send({reinterpret_cast<const std::byte*>(text.data()), text.size()});
  }

  std::unique_ptr<EpollLoop> loop_;
  std::unique_ptr<env::DatagramSocket> socket_;
  std::vector<std::string> received_;
  size_t wanted_ = 1;
  int error_ = 0;
};

TEST_F(DatagramSocketTest, EachWayAndWhole) {
  PlainSocket server;
  Open(server.address());
  EXPECT_EQ(Send("a question").bytes, 10u);
  sockaddr_in from{};
  EXPECT_EQ(server.Receive(from), "a question");
  server.Send(from, "one");
  server.Send(from, "");
  server.Send(from, "0123456789");
  wanted_ = 3;
  loop_->Run();
  EXPECT_EQ(received_, (std::vector<std::string>{"one", "", "01234567"}));
  std::byte room[8];
  EXPECT_EQ(socket_->Receive(room).outcome, env::IoResult::Outcome::kWouldBlock);
}

TEST_F(DatagramSocketTest, StrangersAreNotHeard) {
  PlainSocket server;
  PlainSocket stranger;
  Open(server.address());
  (void)Send("a question");
  sockaddr_in from{};
  (void)server.Receive(from);
  stranger.Send(from, "forged");
  server.Send(from, "right");
  loop_->Run();
  EXPECT_EQ(received_, std::vector<std::string>{"right"});
}

TEST_F(DatagramSocketTest, AClosedPortIsSaid) {
  const env::Address nobody = PlainSocket().address();
  Open(nobody);
  EXPECT_EQ(Send("a question").outcome, env::IoResult::Outcome::kDone);
  loop_->Run();
  EXPECT_EQ(error_, ECONNREFUSED);
}

TEST_F(DatagramSocketTest, EachHasAPortOfItsOwn) {
  PlainSocket server;
  std::set<uint16_t> ports;
  for (int i = 0; i < 20; ++i) {
    Open(server.address());
    (void)Send("a question");
    sockaddr_in from{};
    (void)server.Receive(from);
    ports.insert(from.sin_port);
  }
  EXPECT_GT(ports.size(), 15u);
}

TEST_F(DatagramSocketTest, OnlyInternetAddresses) {
  for (const env::Address::Family family :
       {env::Address::Family::kUnix, env::Address::Family::kIp4}) {
    const auto socket = loop_->OpenDatagrams({family, "name", 53}, [] {});
    ASSERT_FALSE(socket.ok());
    EXPECT_EQ(socket.status().code(), StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace tepal::runtime
