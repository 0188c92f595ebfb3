#include "balancing/gateway/name_lookups.h"

#include <memory>
#include <utility>

#include "core/base/text.h"

namespace tepal::gateway {

namespace {

struct Lookups {
  size_t missing = 0;
  NamesFound found;
  Function<void(NamesFound)> done;

  void Take(const std::string& name, Result<std::vector<env::Address>> addresses) {
    if (addresses.ok()) {
      found.addresses[name] = *std::move(addresses);
    } else {
      found.failures[name] = addresses.status();
    }
    if (--missing == 0) done(std::move(found));
  }
};

}  // namespace

std::string NameText(const net::HostPort& name) { return Concat(name.host, ":", name.port); }

void LookUpNames(net::Resolver& resolver, env::EventLoop& loop, std::vector<net::HostPort> names,
                 Function<void(NamesFound)> done) {
  std::map<std::string, net::HostPort> different;
  for (net::HostPort& name : names) different.emplace(NameText(name), std::move(name));
  if (different.empty()) {
    loop.Post([done = std::move(done)]() mutable { done({}); });
    return;
  }
  auto lookups = std::make_shared<Lookups>();
  lookups->missing = different.size();
  lookups->done = std::move(done);
  for (const auto& [text, name] : different) {
    resolver.Resolve(loop, name, [lookups, key = text](Result<std::vector<env::Address>> result) {
      lookups->Take(key, std::move(result));
    });
  }
}

}  // namespace tepal::gateway
