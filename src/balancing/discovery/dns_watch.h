// Names that are looked up again and again. A name that cannot be looked up keeps what it had, for
// as long as that takes: an outage of DNS must not empty a pool. Used on its loop.

#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "balancing/discovery/dns_lookup.h"
#include "balancing/discovery/refresh.h"

namespace tepal::discovery {

class DnsWatch {
 public:
  // The lookup and the loop outlive the watch.
  DnsWatch(env::EventLoop& loop, DnsLookup& lookup, const Refresh::Options& refresh);
  ~DnsWatch();

  struct Counters {
    uint64_t found = 0;
    uint64_t failed = 0;
    std::string last_error;  // Empty when the last lookup found something.
  };

  // Others from now on, and every name is looked up at once; what was found stays until then. The
  // lookup before may go as soon as this returns.
  void Change(DnsLookup& lookup, const Refresh::Options& refresh, bool ip6);

  // Watches another name from now on; `on_change` runs whenever its endpoints are others, the first
  // time included. Returns its number.
  uint64_t Add(DnsName name, Function<void(const DnsFound&)> on_change);
  void Remove(uint64_t number);
  std::vector<std::pair<std::string, Counters>> Read() const;

 private:
  struct Watched;
  void LookUp(uint64_t number);
  void OnResult(uint64_t number, Result<DnsFound> result);

  env::EventLoop& loop_;
  DnsLookup* lookup_;
  Refresh::Options refresh_;
  std::map<uint64_t, std::unique_ptr<Watched>> watched_;
  uint64_t last_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace tepal::discovery
