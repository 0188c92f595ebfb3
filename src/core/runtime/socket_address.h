// env::Address to and from the kernel's socket addresses.

#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "core/env/network.h"

namespace tepal::runtime {

union SocketAddress {
  sockaddr any;
  sockaddr_in ip4;
  sockaddr_in6 ip6;
  sockaddr_un local;
};

// What a stream keeps of its peer: a Unix socket's peer has no name worth keeping.
union InternetAddress {
  sockaddr any;
  sockaddr_in ip4;
  sockaddr_in6 ip6;
};

struct EncodedAddress {
  SocketAddress address;
  socklen_t size;
};

// kInvalidArgument when the host is not numeric.
Result<EncodedAddress> Encode(const env::Address& address);

env::Address Decode(const sockaddr& address);

// The address `descriptor` is bound to.
env::Address LocalAddress(int descriptor);

}  // namespace tepal::runtime
