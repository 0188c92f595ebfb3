#include "core/runtime/connector.h"

#include <cerrno>

#include "core/base/text.h"
#include "core/runtime/loop_impl.h"
#include "core/runtime/socket_address.h"
#include "core/runtime/socket_stream.h"

namespace tepal::runtime {
namespace {

class Connector final : public env::EventLoop::Connecting, private PollEvents {
 public:
  using Done = Function<void(Result<std::unique_ptr<env::Stream>>)>;

  Connector(LoopImpl& loop, env::Address address, Done done)
      : loop_(loop), address_(std::move(address)), done_(std::move(done)) {}
  ~Connector() override {
    if (timer_ != 0) loop_.Cancel(timer_);
  }

  void Start() {
    outcome_ = Begin();
    // Known at once (a Unix socket, a refusal), but told no earlier than the next turn.
    if (!watch_.is_open()) {
      timer_ = loop_.RunAt(loop_.Now(), [this] {
        timer_ = 0;
        Finish();
      });
    }
  }

 private:
  Status Begin() {
    ASSIGN_OR_RETURN(encoded_, Encode(address_));
    const int family = encoded_.address.any.sa_family;
    socket_ = UniqueFd(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!socket_.valid()) return Failure(errno);
    if (connect(socket_.get(), &encoded_.address.any, encoded_.size) == 0) return {};
    if (errno != EINPROGRESS && errno != EINTR) return Failure(errno);
    watch_.Open(loop_.poller(), socket_.get(), *this);
    watch_.Set(false, true);
    return {};
  }

  void OnPollWritable() override {
    int error = 0;
    socklen_t size = sizeof(error);
    if (getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    if (error != 0) outcome_ = Failure(error);
    Finish();
  }

  // EAGAIN is a Unix socket's full backlog: as good as refused.
  Status Failure(int error) const {
    const std::string doing = Concat("connecting to ", address_.ToString());
    if (error == EAGAIN) return Unavailable(doing + ": the listener's backlog is full");
    return Status::FromErrno(error, doing);
  }

  // `done` may destroy this object.
  void Finish() {
    watch_.Close();
    Done done = std::move(done_);
    if (!outcome_.ok()) {
      done(std::move(outcome_));
    } else {
      done(std::unique_ptr<env::Stream>(
          new SocketStream(std::move(socket_), &encoded_.address.any)));
    }
  }

  LoopImpl& loop_;
  env::Address address_;
  Done done_;
  EncodedAddress encoded_{};
  UniqueFd socket_;
  Poller::Watch watch_;
  Status outcome_;
  env::EventLoop::TimerId timer_ = 0;
};

}  // namespace

std::unique_ptr<env::EventLoop::Connecting> StartConnecting(
    LoopImpl& loop, const env::Address& address,
    Function<void(Result<std::unique_ptr<env::Stream>>)> done) {
  auto connector = std::make_unique<Connector>(loop, address, std::move(done));
  connector->Start();
  return connector;
}

std::unique_ptr<env::EventLoop::Connecting> LoopImpl::Connect(
    const env::Address& address, Function<void(Result<std::unique_ptr<env::Stream>>)> done) {
  return StartConnecting(*this, address, std::move(done));
}

}  // namespace tepal::runtime
