// A name, or a service by its SRV records, to endpoints' addresses with the time they are good for.
//
// A and AAAA records are asked for at once; a name that has one kind is found. SRV names lead to
// the addresses of their targets; only the most important priority counts. Search domains are tried
// in the order of resolv.conf. A name without any address is an error: what that means for a pool
// is its owner's to say. Used on the client's loop.

#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "balancing/discovery/dns_client.h"

namespace tepal::discovery {

struct DnsName {
  std::string host;
  uint16_t port = 0;    // Of the addresses; SRV records have their own.
  std::string service;  // "http" (for _http._tcp), "_grpc._tcp"; empty: no SRV records.
  bool ip6 = true;
};

struct DnsFound {
  struct One {
    env::Address address;
    uint32_t weight = 1;
    bool operator==(const One&) const = default;
  };
  std::vector<One> endpoints;  // IPv4 first; in the order of their text, so that two are compared.
  Duration ttl{};              // The least of all records.
};

inline constexpr size_t kDnsTargetsMax = 256;  // Of one service; more are left out.

// What a resolv.conf says.
struct ResolvConf {
  std::vector<env::Address> servers;
  std::vector<std::string> search;
  uint32_t ndots = 1;
};
ResolvConf ParseResolvConf(std::string_view text);

// The names to try for `host`, in order.
std::vector<std::string> NamesToTry(const ResolvConf& conf, const std::string& host);

class DnsLookup {
 public:
  // The client outlives the lookups. Of `conf`, only search and ndots count.
  DnsLookup(DnsClient& client, ResolvConf conf) : client_(client), conf_(std::move(conf)) {}

  // `done` runs once, never inside, unless the client is destroyed first.
  void LookUp(DnsName name, Function<void(Result<DnsFound>)> done);

 private:
  DnsClient& client_;
  const ResolvConf conf_;
};

}  // namespace tepal::discovery
