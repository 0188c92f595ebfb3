#include "core/env/network.h"

#include "core/base/text.h"

namespace tepal::env {

static Status BadAddress(std::string_view text, std::string_view why) {
  return InvalidArgument(
      Concat("address '", text, "': ", why,
             "; expected HOST:PORT with a numeric HOST, [IPv6]:PORT or unix:/path"));
}

Result<Address> Address::Parse(std::string_view text) {
  Address address;
  if (text.starts_with("unix:")) {
    address.family = Family::kUnix;
    address.host = text.substr(5);
    // sun_path holds 108 bytes with its terminating zero (unix(7)).
    if (address.host.empty()) return BadAddress(text, "the path is empty");
    if (address.host.size() > 107) return BadAddress(text, "the path is longer than 107 bytes");
    return address;
  }
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return BadAddress(text, "the port is missing");
  std::string_view host = text.substr(0, colon);
  const auto port = ParseNumber<uint16_t>(text.substr(colon + 1));
  if (!port) return BadAddress(text, "the port is not a number from 0 to 65535");
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
    address.family = Family::kIp6;
  } else if (host.find(':') != std::string_view::npos) {
    return BadAddress(text, "an IPv6 host needs brackets");
  }
  if (host.empty()) return BadAddress(text, "the host is empty");
  address.host = host;
  address.port = *port;
  return address;
}

std::string Address::ToString() const {
  switch (family) {
    case Family::kUnix:
      return "unix:" + host;
    case Family::kIp6:
      return Concat("[", host, "]:", port);
    case Family::kIp4:
      break;
  }
  return Concat(host, ":", port);
}

}  // namespace tepal::env
