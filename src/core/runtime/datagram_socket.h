// A connected UDP socket as an env::DatagramSocket.

#pragma once

#include "core/base/function.h"
#include "core/env/datagrams.h"
#include "core/runtime/poller.h"

namespace tepal::runtime {

class UdpSocket final : public env::DatagramSocket, private PollEvents {
 public:
  // `socket` is non-blocking and connected.
  UdpSocket(Poller& poller, UniqueFd socket, Function<void()> on_readable);

  env::IoResult Send(env::ConstBytes datagram) override;
  env::IoResult Receive(std::span<std::byte> into) override;

 private:
  void OnPollReadable() override { on_readable_(); }

  UniqueFd socket_;
  Poller::Watch watch_;  // After socket_: closed before it.
  Function<void()> on_readable_;
};

}  // namespace tepal::runtime
