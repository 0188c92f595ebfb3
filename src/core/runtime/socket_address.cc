#include "core/runtime/socket_address.h"

#include <arpa/inet.h>

#include <cstring>

#include "core/base/text.h"

namespace tepal::runtime {

Result<EncodedAddress> Encode(const env::Address& address) {
  EncodedAddress encoded;
  std::memset(&encoded, 0, sizeof(encoded));
  switch (address.family) {
    case env::Address::Family::kIp4:
      encoded.address.ip4.sin_family = AF_INET;
      encoded.address.ip4.sin_port = htons(address.port);
      encoded.size = sizeof(sockaddr_in);
      if (inet_pton(AF_INET, address.host.c_str(), &encoded.address.ip4.sin_addr) == 1) {
        return encoded;
      }
      break;
    case env::Address::Family::kIp6:
      encoded.address.ip6.sin6_family = AF_INET6;
      encoded.address.ip6.sin6_port = htons(address.port);
      encoded.size = sizeof(sockaddr_in6);
      if (inet_pton(AF_INET6, address.host.c_str(), &encoded.address.ip6.sin6_addr) == 1) {
        return encoded;
      }
      break;
    case env::Address::Family::kUnix:
      encoded.address.local.sun_family = AF_UNIX;
      encoded.size = sizeof(sockaddr_un);
      if (address.host.size() >= sizeof(encoded.address.local.sun_path)) break;
      std::memcpy(encoded.address.local.sun_path, address.host.data(), address.host.size());
      return encoded;
  }
  return InvalidArgument(Concat("address ", address.ToString(),
                                ": expected a numeric IPv4 or IPv6 host or a short path"));
}

env::Address Decode(const sockaddr& address) {
  env::Address decoded;
  char text[INET6_ADDRSTRLEN] = "";
  if (address.sa_family == AF_INET) {
    const auto& ip4 = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &ip4.sin_addr, text, sizeof(text));
    decoded.host = text;
    decoded.port = ntohs(ip4.sin_port);
  } else if (address.sa_family == AF_INET6) {
    const auto& ip6 = reinterpret_cast<const sockaddr_in6&>(address);
    decoded.family = env::Address::Family::kIp6;
    inet_ntop(AF_INET6, &ip6.sin6_addr, text, sizeof(text));
    decoded.host = text;
    decoded.port = ntohs(ip6.sin6_port);
  } else {
    decoded.family = env::Address::Family::kUnix;
  }
  return decoded;
}

env::Address LocalAddress(int descriptor) {
  SocketAddress address;
  std::memset(&address, 0, sizeof(address));
  socklen_t size = sizeof(address);
  if (getsockname(descriptor, &address.any, &size) != 0) return {};
  env::Address decoded = Decode(address.any);
  if (address.any.sa_family == AF_UNIX && size > offsetof(sockaddr_un, sun_path)) {
    const size_t room = size - offsetof(sockaddr_un, sun_path);
    decoded.host.assign(address.local.sun_path, strnlen(address.local.sun_path, room));
  }
  return decoded;
}

}  // namespace tepal::runtime
