#include "core/runtime/datagram_socket.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "core/base/text.h"
#include "core/runtime/loop_impl.h"
#include "core/runtime/socket_address.h"

namespace tepal::runtime {

namespace {

env::IoResult ToResult(ssize_t moved) {
  if (moved >= 0) return {env::IoResult::Outcome::kDone, static_cast<size_t>(moved), 0};
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) return {};
  return {env::IoResult::Outcome::kFailed, 0, errno};
}

}  // namespace

UdpSocket::UdpSocket(Poller& poller, UniqueFd socket, Function<void()> on_readable)
    : socket_(std::move(socket)), on_readable_(std::move(on_readable)) {
  watch_.Open(poller, socket_.get(), *this);
  watch_.Set(true, false);
}

env::IoResult UdpSocket::Send(env::ConstBytes datagram) {
  ssize_t moved;
  do {
    moved = send(socket_.get(), datagram.data, datagram.size, MSG_NOSIGNAL);
  } while (moved < 0 && errno == EINTR);
  return ToResult(moved);
}

env::IoResult UdpSocket::Receive(std::span<std::byte> into) {
  ssize_t moved;
  do {
    moved = recv(socket_.get(), into.data(), into.size(), 0);
  } while (moved < 0 && errno == EINTR);
  return ToResult(moved);
}

Result<std::unique_ptr<env::DatagramSocket>> LoopImpl::OpenDatagrams(const env::Address& peer,
                                                                     Function<void()> on_readable) {
  if (peer.family == env::Address::Family::kUnix) {
    return InvalidArgument(
        Concat("datagrams to ", peer.ToString(), ": expected an IPv4 or IPv6 address"));
  }
  ASSIGN_OR_RETURN(const EncodedAddress encoded, Encode(peer));
  UniqueFd socket(
      ::socket(encoded.address.any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const std::string doing = Concat("opening a socket for datagrams to ", peer.ToString());
  if (!socket.valid()) return Status::FromErrno(errno, doing);
  // The kernel draws the port, and from now on hands over what comes from the peer alone (udp(7)).
  if (connect(socket.get(), &encoded.address.any, encoded.size) != 0) {
    return Status::FromErrno(errno, doing);
  }
  return std::unique_ptr<env::DatagramSocket>(
      std::make_unique<UdpSocket>(poller_, std::move(socket), std::move(on_readable)));
}

}  // namespace tepal::runtime
