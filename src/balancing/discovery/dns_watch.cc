#include "balancing/discovery/dns_watch.h"

#include <utility>

#include "core/base/text.h"
#include "core/telemetry/log.h"

namespace tepal::discovery {

struct DnsWatch::Watched {
  DnsName name;
  Function<void(const DnsFound&)> on_change;
  Refresh refresh;
  DnsFound found;
  Counters counters;
  env::EventLoop::TimerId timer = 0;
};

DnsWatch::DnsWatch(env::EventLoop& loop, DnsLookup& lookup, const Refresh::Options& refresh)
    : loop_(loop), lookup_(&lookup), refresh_(refresh) {}

DnsWatch::~DnsWatch() {
  *alive_ = false;
  for (const auto& [number, watched] : watched_) loop_.Cancel(watched->timer);
}

void DnsWatch::Change(DnsLookup& lookup, const Refresh::Options& refresh, bool ip6) {
  lookup_ = &lookup;
  refresh_ = refresh;
  *std::exchange(alive_, std::make_shared<bool>(true)) = false;  // Nobody waits for the one before.
  for (const auto& [number, watched] : watched_) {
    loop_.Cancel(watched->timer);
    watched->refresh = Refresh(refresh);
    watched->name.ip6 = ip6;
    LookUp(number);
  }
}

uint64_t DnsWatch::Add(DnsName name, Function<void(const DnsFound&)> on_change) {
  const uint64_t number = ++last_;
  watched_[number] = std::make_unique<Watched>(
      Watched{std::move(name), std::move(on_change), Refresh(refresh_), {}, {}, 0});
  LookUp(number);
  return number;
}

void DnsWatch::Remove(uint64_t number) {
  const auto watched = watched_.find(number);
  if (watched == watched_.end()) return;
  loop_.Cancel(watched->second->timer);
  watched_.erase(watched);
}

std::vector<std::pair<std::string, DnsWatch::Counters>> DnsWatch::Read() const {
  std::vector<std::pair<std::string, Counters>> all;
  for (const auto& [number, watched] : watched_) {
    all.emplace_back(watched->name.host, watched->counters);
  }
  return all;
}

void DnsWatch::LookUp(uint64_t number) {
  lookup_->LookUp(watched_.at(number)->name,
                  [this, alive = alive_, number](Result<DnsFound> result) {
                    if (*alive) OnResult(number, std::move(result));
                  });
}

void DnsWatch::OnResult(uint64_t number, Result<DnsFound> result) {
  const auto entry = watched_.find(number);
  if (entry == watched_.end()) return;
  Watched& watched = *entry->second;
  Duration wait;
  if (result.ok()) {
    ++watched.counters.found;
    watched.counters.last_error.clear();
    wait = watched.refresh.OnFound(result->ttl);
  } else {
    ++watched.counters.failed;
    if (watched.counters.last_error != result.status().message()) {
      watched.counters.last_error = result.status().message();
      telemetry::LogWarning(Concat("balancer: '", watched.name.host,
                                   "' keeps its endpoints: ", result.status().message()));
    }
    wait = watched.refresh.OnFailed();
  }
  watched.timer = loop_.RunAfter(wait, [this, number] { LookUp(number); });
  if (!result.ok() || result->endpoints == watched.found.endpoints) return;
  watched.found = *std::move(result);
  watched.on_change(watched.found);  // The last: it may remove the name.
}

}  // namespace tepal::discovery
