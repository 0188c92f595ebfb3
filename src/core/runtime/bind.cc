#include "core/runtime/bind.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "core/base/text.h"
#include "core/runtime/socket_address.h"
#include "core/runtime/unique_fd.h"

namespace tepal::runtime {
namespace {

constexpr int kBacklog = 1024;

class Bound final : public env::BoundSocket {
 public:
  explicit Bound(UniqueFd socket) : socket_(std::move(socket)) {}
  int descriptor() const override { return socket_.get(); }
  env::Address address() const override { return LocalAddress(socket_.get()); }

 private:
  UniqueFd socket_;
};

}  // namespace

Result<std::unique_ptr<env::BoundSocket>> BindListener(const env::Address& address) {
  if (address.family == env::Address::Family::kUnix) {
    return InvalidArgument(Concat("binding ", address.ToString(), ": expected an IP address"));
  }
  ASSIGN_OR_RETURN(const EncodedAddress encoded, Encode(address));
  UniqueFd socket(
      ::socket(encoded.address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return Status::FromErrno(errno, "opening a socket");
  const int yes = 1;
  setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  if (bind(socket.get(), &encoded.address.any, encoded.size) != 0 ||
      listen(socket.get(), kBacklog) != 0) {
    const std::string doing = Concat("binding ", address.ToString());
    if (errno == EADDRINUSE) return AlreadyExists(doing + ": the address is in use");
    return Status::FromErrno(errno, doing);
  }
  return std::unique_ptr<env::BoundSocket>(std::make_unique<Bound>(std::move(socket)));
}

}  // namespace tepal::runtime
