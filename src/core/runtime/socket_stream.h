// A connected socket as an env::Stream.

#pragma once

#include "core/env/network.h"
#include "core/runtime/poller.h"
#include "core/runtime/socket_address.h"

namespace tepal::runtime {

class SocketStream final : public env::Stream, private PollEvents {
 public:
  // `socket` is non-blocking. `peer` may be null: a Unix socket.
  SocketStream(UniqueFd socket, const sockaddr* peer);

  void Attach(env::EventLoop& loop, env::StreamEvents& events) override;
  void Watch(bool readable, bool writable) override { watch_.Set(readable, writable); }
  void WaitFor(size_t bytes) override;
  env::IoResult Read(std::span<std::byte> into) override;
  env::IoResult ReadPieces(std::span<const std::span<std::byte>> pieces) override;
  env::IoResult Write(std::span<const env::ConstBytes> pieces) override;
  void ShutdownWrite() override;
  void AbortOnClose() override;
  env::Address local_address() const override;
  env::Address peer_address() const override;

 private:
  void OnPollReadable() override { events_->OnReadable(); }
  void OnPollWritable() override { events_->OnWritable(); }

  UniqueFd socket_;
  Poller::Watch watch_;  // After socket_: closed before it.
  env::StreamEvents* events_ = nullptr;
  InternetAddress peer_;
};

}  // namespace tepal::runtime
