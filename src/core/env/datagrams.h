// The seam to datagrams: EventLoop::OpenDatagrams gives a socket.

#pragma once

#include <cstddef>
#include <span>

#include "core/env/network.h"

namespace tepal::env {

// A socket for datagrams to and from one peer: what anybody else sends to it is not received.
// Datagrams may be lost, come twice and overtake each other.
class DatagramSocket {
 public:
  virtual ~DatagramSocket() = default;

  // The whole datagram, or nothing: what there is no room for now is lost, as on the way.
  virtual IoResult Send(ConstBytes datagram) = 0;

  // The next datagram, which may be empty; what `into` has no room for is lost. kFailed with
  // ECONNREFUSED, of this or of Send, says that nobody receives where an earlier one was sent.
  virtual IoResult Receive(std::span<std::byte> into) = 0;
};

}  // namespace tepal::env
