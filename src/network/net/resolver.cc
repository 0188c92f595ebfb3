#include "network/net/resolver.h"

#include <arpa/inet.h>
#include <netdb.h>

#include <algorithm>

#include "core/base/text.h"

namespace tepal::net {
namespace {

constexpr size_t kHostSizeMax = 253;  // RFC 1035, as text.
constexpr std::string_view kUnix = "unix:";

Status BadName(std::string_view text, std::string_view why) {
  return InvalidArgument(
      Concat("address '", text, "': ", why, "; expected HOST:PORT, [IPv6]:PORT or unix:/path"));
}

std::optional<env::Address::Family> NumericFamily(const std::string& host) {
  in6_addr bytes;
  if (inet_pton(AF_INET, host.c_str(), &bytes) == 1) return env::Address::Family::kIp4;
  if (inet_pton(AF_INET6, host.c_str(), &bytes) == 1) return env::Address::Family::kIp6;
  return std::nullopt;
}

// The address without a look-up, when the name says it.
std::optional<env::Address> WithoutLookUp(const HostPort& name) {
  if (name.host.starts_with(kUnix)) {
    return env::Address{env::Address::Family::kUnix, name.host.substr(kUnix.size()), 0};
  }
  const auto family = NumericFamily(name.host);
  if (!family) return std::nullopt;
  return env::Address{*family, name.host, name.port};
}

Result<std::vector<env::Address>> LookUp(const HostPort& name) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(name.host.c_str(), nullptr, &hints, &found); error != 0) {
    return Unavailable(Concat("resolving '", name.host, "': ", gai_strerror(error)));
  }
  std::vector<env::Address> addresses;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    char text[INET6_ADDRSTRLEN] = "";
    env::Address address{env::Address::Family::kIp4, "", name.port};
    if (entry->ai_family == AF_INET) {
      const auto& ip4 = *reinterpret_cast<const sockaddr_in*>(entry->ai_addr);
      inet_ntop(AF_INET, &ip4.sin_addr, text, sizeof(text));
    } else if (entry->ai_family == AF_INET6) {
      const auto& ip6 = *reinterpret_cast<const sockaddr_in6*>(entry->ai_addr);
      inet_ntop(AF_INET6, &ip6.sin6_addr, text, sizeof(text));
      address.family = env::Address::Family::kIp6;
    } else {
      continue;
    }
    address.host = text;
    addresses.push_back(std::move(address));
  }
  freeaddrinfo(found);
  std::stable_partition(addresses.begin(), addresses.end(), [](const env::Address& address) {
    return address.family == env::Address::Family::kIp4;
  });
  if (addresses.empty()) return NotFound(Concat("resolving '", name.host, "': no address"));
  return addresses;
}

class ExecutorResolver final : public Resolver {
 public:
  explicit ExecutorResolver(env::Executor& executor) : executor_(executor) {}

  void Resolve(env::EventLoop& loop, const HostPort& name,
               Function<void(Result<std::vector<env::Address>>)> done) override {
    if (std::optional<env::Address> address = WithoutLookUp(name)) {
      std::vector<env::Address> addresses{*std::move(address)};
      loop.Post([done = std::move(done), addresses = std::move(addresses)]() mutable {
        done(std::move(addresses));
      });
      return;
    }
    executor_.Execute([&loop, name, done = std::move(done)]() mutable {
      loop.Post(
          [found = LookUp(name), done = std::move(done)]() mutable { done(std::move(found)); });
    });
  }

 private:
  env::Executor& executor_;
};

}  // namespace

Result<HostPort> HostPort::Parse(std::string_view text, uint16_t default_port) {
  HostPort parsed{"", default_port};
  if (text.starts_with(kUnix)) {
    if (text.size() == kUnix.size()) return BadName(text, "the path is empty");
    parsed.host = text;
    parsed.port = 0;
    return parsed;
  }
  std::string_view rest = text;
  if (rest.starts_with("https://")) return BadName(text, "https is not supported");
  if (rest.starts_with("http://")) rest.remove_prefix(7);
  rest = rest.substr(0, rest.find_first_of("/?#"));
  std::string_view host = rest;
  std::optional<std::string_view> port;
  if (rest.starts_with('[')) {
    const size_t end = rest.find(']');
    if (end == std::string_view::npos) return BadName(text, "']' is missing");
    host = rest.substr(1, end - 1);
    rest.remove_prefix(end + 1);
    if (!rest.empty() && rest[0] != ':') return BadName(text, "text follows ']'");
    if (!rest.empty()) port = rest.substr(1);
    if (NumericFamily(std::string(host)) != env::Address::Family::kIp6) {
      return BadName(text, "no IPv6 address stands between the brackets");
    }
  } else if (const size_t colon = rest.find(':'); colon != std::string_view::npos) {
    host = rest.substr(0, colon);
    port = rest.substr(colon + 1);
    if (port->find(':') != std::string_view::npos) {
      return BadName(text, "an IPv6 host needs brackets");
    }
  }
  if (host.empty()) return BadName(text, "the host is empty");
  if (host.size() > kHostSizeMax) return BadName(text, "the host is longer than 253 bytes");
  parsed.host = host;
  if (port) {
    const auto number = ParseNumber<uint16_t>(*port);
    if (!number) return BadName(text, "the port is not a number from 0 to 65535");
    parsed.port = *number;
  }
  return parsed;
}

Result<std::vector<env::Address>> ResolveBlocking(const HostPort& name) {
  if (std::optional<env::Address> address = WithoutLookUp(name)) {
    return std::vector<env::Address>{*std::move(address)};
  }
  return LookUp(name);
}

std::unique_ptr<Resolver> NewResolver(env::Executor& executor) {
  return std::make_unique<ExecutorResolver>(executor);
}

}  // namespace tepal::net
