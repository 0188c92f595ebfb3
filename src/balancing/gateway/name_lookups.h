// All names of a configuration looked up at once.

#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/base/function.h"
#include "core/env/event_loop.h"
#include "network/net/resolver.h"

namespace tepal::gateway {

std::string NameText(const net::HostPort& name);  // "host:port".

struct NamesFound {
  std::map<std::string, std::vector<env::Address>> addresses;  // By NameText.
  std::map<std::string, Status> failures;
};

// `done` runs on `loop`, once, never inside. The loop and the resolver outlive it.
void LookUpNames(net::Resolver& resolver, env::EventLoop& loop, std::vector<net::HostPort> names,
                 Function<void(NamesFound)> done);

}  // namespace tepal::gateway
