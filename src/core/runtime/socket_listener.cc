#include "core/runtime/socket_listener.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "core/base/text.h"
#include "core/runtime/loop_impl.h"
#include "core/runtime/port_holder.h"
#include "core/runtime/socket_address.h"
#include "core/runtime/socket_stream.h"
#include "core/telemetry/log.h"

namespace tepal::runtime {
namespace {

// Connections taken in one turn before others get theirs.
constexpr int kAcceptsPerTurn = 64;
// How long accepting rests when the process has no descriptor left.
constexpr Duration kRestTime = 100ms;

bool IsOutOfDescriptors(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

// Whether a process answers on the Unix socket; a file that is left over refuses.
bool AnyoneListens(const EncodedAddress& encoded) {
  const UniqueFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!probe.valid()) return true;
  if (connect(probe.get(), &encoded.address.any, encoded.size) == 0) return true;
  return errno != ECONNREFUSED && errno != ENOENT;
}

Status InUse(const env::Address& address) {
  std::string holder;
  if (address.family != env::Address::Family::kUnix) holder = DescribePortHolder(address);
  if (holder.empty()) holder = "another process";
  return AlreadyExists(Concat("address ", address.ToString(), " is in use by ", holder));
}

Status Bind(const UniqueFd& socket, const env::Address& address, const EncodedAddress& encoded) {
  if (bind(socket.get(), &encoded.address.any, encoded.size) == 0) return {};
  if (errno != EADDRINUSE) {
    return Status::FromErrno(errno, Concat("binding ", address.ToString()));
  }
  if (address.family != env::Address::Family::kUnix || AnyoneListens(encoded)) {
    return InUse(address);
  }
  unlink(address.host.c_str());
  if (bind(socket.get(), &encoded.address.any, encoded.size) == 0) return {};
  return Status::FromErrno(errno, Concat("binding ", address.ToString()));
}

Result<UniqueFd> OpenListening(const env::Address& address, const env::ListenOptions& options) {
  ASSIGN_OR_RETURN(const EncodedAddress encoded, Encode(address));
  const int family = encoded.address.any.sa_family;
  UniqueFd socket(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.valid()) {
    return Status::FromErrno(errno, Concat("opening a socket for ", address.ToString()));
  }
  const int on = 1;
  if (family != AF_UNIX) {
    setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (options.reuse_port &&
        setsockopt(socket.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0) {
      return Status::FromErrno(errno, Concat("setting SO_REUSEPORT for ", address.ToString()));
    }
  }
  // One port for each family: [::] is not 0.0.0.0 as well, whatever the system's default.
  if (family == AF_INET6) setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  RETURN_IF_ERROR(Bind(socket, address, encoded));
  if (listen(socket.get(), options.backlog) != 0) {
    if (errno == EADDRINUSE) return InUse(address);
    return Status::FromErrno(errno, Concat("listening on ", address.ToString()));
  }
  return socket;
}

}  // namespace

SocketListener::SocketListener(env::EventLoop& loop, Poller& poller, UniqueFd socket,
                               OnAccept on_accept)
    : loop_(loop),
      socket_(std::move(socket)),
      on_accept_(std::move(on_accept)),
      address_(LocalAddress(socket_.get())) {
  watch_.Open(poller, socket_.get(), *this);
  watch_.Set(true, false);
}

SocketListener::~SocketListener() {
  if (destroyed_ != nullptr) *destroyed_ = true;
  if (resume_timer_ != 0) loop_.Cancel(resume_timer_);
  // Unless somebody else has bound the path since.
  struct stat facts;
  if (owns_file_ && stat(address_.host.c_str(), &facts) == 0 && facts.st_dev == file_device_ &&
      facts.st_ino == file_inode_) {
    unlink(address_.host.c_str());
  }
}

void SocketListener::OwnSocketFile() {
  struct stat facts;
  if (stat(address_.host.c_str(), &facts) != 0) return;
  owns_file_ = true;
  file_device_ = facts.st_dev;
  file_inode_ = facts.st_ino;
}

void SocketListener::Pause(bool paused) {
  paused_ = paused;
  watch_.Set(!paused_ && resume_timer_ == 0, false);
}

void SocketListener::OnPollReadable() { AcceptUpTo(kAcceptsPerTurn); }

void SocketListener::AcceptUpTo(int connections) {
  bool destroyed = false;
  destroyed_ = &destroyed;
  bool more = true;
  for (int i = 0; i < connections && more && !paused_; ++i) {
    const bool go_on = AcceptOne(more);
    if (destroyed) return;
    if (!go_on) break;
  }
  destroyed_ = nullptr;
}

bool SocketListener::AcceptOne(bool& more) {
  SocketAddress peer;
  std::memset(&peer, 0, sizeof(peer));
  socklen_t size = sizeof(peer);
  UniqueFd socket(accept4(socket_.get(), &peer.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!socket.valid()) {
    more = errno != EAGAIN && errno != EWOULDBLOCK;
    if (!IsOutOfDescriptors(errno)) return true;  // ECONNABORTED and its like: the next one.
    RestUntilDescriptorsAreFree(errno);
    return false;
  }
  on_accept_(std::make_unique<SocketStream>(std::move(socket), &peer.any));
  return true;
}

void SocketListener::RestUntilDescriptorsAreFree(int error) {
  telemetry::LogWarning(Concat("accepting on ", address_.ToString(), " rests for ",
                               ToMicroseconds(kRestTime) / 1000, " ms: ", std::strerror(error)));
  resume_timer_ = loop_.RunAfter(kRestTime, [this] {
    resume_timer_ = 0;
    watch_.Set(!paused_, false);
  });
  watch_.Set(false, false);
}

Result<std::unique_ptr<env::Listener>> LoopImpl::Listen(
    const env::Address& address, const env::ListenOptions& options,
    Function<void(std::unique_ptr<env::Stream>)> on_accept) {
  ASSIGN_OR_RETURN(UniqueFd socket, OpenListening(address, options));
  auto listener =
      std::make_unique<SocketListener>(*this, poller_, std::move(socket), std::move(on_accept));
  if (address.family == env::Address::Family::kUnix) listener->OwnSocketFile();
  return std::unique_ptr<env::Listener>(std::move(listener));
}

Result<std::unique_ptr<env::Listener>> LoopImpl::ListenOn(
    int descriptor, Function<void(std::unique_ptr<env::Stream>)> on_accept) {
  int listening = 0;
  socklen_t size = sizeof(listening);
  if (getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0) {
    return Status::FromErrno(errno, Concat("taking over descriptor ", descriptor));
  }
  if (listening == 0) {
    return InvalidArgument(Concat("descriptor ", descriptor, " is not a listening socket"));
  }
  fcntl(descriptor, F_SETFD, FD_CLOEXEC);
  fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
  return std::unique_ptr<env::Listener>(
      std::make_unique<SocketListener>(*this, poller_, UniqueFd(descriptor), std::move(on_accept)));
}

}  // namespace tepal::runtime
