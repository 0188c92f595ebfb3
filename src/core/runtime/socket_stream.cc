#include "core/runtime/socket_stream.h"

#include <netinet/tcp.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "core/base/check.h"
#include "core/runtime/loop_impl.h"

namespace tepal::runtime {

// One system call takes this many pieces; the rest waits for the next.
static constexpr size_t kPiecesPerCall = 256;

SocketStream::SocketStream(UniqueFd socket, const sockaddr* peer) : socket_(std::move(socket)) {
  std::memset(&peer_, 0, sizeof(peer_));
  if (peer != nullptr && (peer->sa_family == AF_INET || peer->sa_family == AF_INET6)) {
    std::memcpy(&peer_, peer, peer->sa_family == AF_INET ? sizeof(sockaddr_in) : sizeof(peer_.ip6));
    // Answers are written whole, so waiting for more to send (RFC 896) only delays them.
    const int on = 1;
    setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  } else {
    peer_.any.sa_family = AF_UNIX;
  }
}

void SocketStream::Attach(env::EventLoop& loop, env::StreamEvents& events) {
  TEPAL_CHECK(loop.InLoopThread());
  events_ = &events;
  // Streams of this room are given only loops of this room.
  watch_.Open(static_cast<LoopImpl&>(loop).poller(), socket_.get(), *this);
}

void SocketStream::WaitFor(size_t bytes) {
  // The kernel makes room for as many, and lowers what it cannot make room for.
  const int least = static_cast<int>(std::min<size_t>(bytes, 1u << 30));
  setsockopt(socket_.get(), SOL_SOCKET, SO_RCVLOWAT, &least, sizeof(least));
}

static env::IoResult ToResult(ssize_t moved) {
  if (moved >= 0) return {env::IoResult::Outcome::kDone, static_cast<size_t>(moved), 0};
  if (errno == EAGAIN || errno == EWOULDBLOCK) return {};
  return {env::IoResult::Outcome::kFailed, 0, errno};
}

env::IoResult SocketStream::Read(std::span<std::byte> into) {
  TEPAL_CHECK(!into.empty());
  ssize_t moved;
  do {
    moved = recv(socket_.get(), into.data(), into.size(), 0);
  } while (moved < 0 && errno == EINTR);
  if (moved == 0) return {env::IoResult::Outcome::kEnd, 0, 0};
  return ToResult(moved);
}

env::IoResult SocketStream::ReadPieces(std::span<const std::span<std::byte>> pieces) {
  std::array<iovec, kPiecesPerCall> vectors;
  const size_t count = std::min(pieces.size(), vectors.size());
  for (size_t i = 0; i < count; ++i) vectors[i] = {pieces[i].data(), pieces[i].size()};
  msghdr message{};
  message.msg_iov = vectors.data();
  message.msg_iovlen = count;
  ssize_t moved;
  do {
    moved = recvmsg(socket_.get(), &message, 0);
  } while (moved < 0 && errno == EINTR);
  if (moved == 0) return {env::IoResult::Outcome::kEnd, 0, 0};
  return ToResult(moved);
}

env::IoResult SocketStream::Write(std::span<const env::ConstBytes> pieces) {
  std::array<iovec, kPiecesPerCall> vectors;
  const size_t count = std::min(pieces.size(), vectors.size());
  for (size_t i = 0; i < count; ++i) {
    vectors[i] = {const_cast<std::byte*>(pieces[i].data), pieces[i].size};
  }
  ssize_t moved;
  do {
    if (count == 1) {
      moved = send(socket_.get(), pieces[0].data, pieces[0].size, MSG_NOSIGNAL);
    } else {
      msghdr message{};
      message.msg_iov = vectors.data();
      message.msg_iovlen = count;
      moved = sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
    }
  } while (moved < 0 && errno == EINTR);
  return ToResult(moved);
}

void SocketStream::ShutdownWrite() { shutdown(socket_.get(), SHUT_WR); }

void SocketStream::AbortOnClose() {
  const linger reset{1, 0};
  setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
}

env::Address SocketStream::local_address() const { return LocalAddress(socket_.get()); }
env::Address SocketStream::peer_address() const { return Decode(peer_.any); }

}  // namespace tepal::runtime
