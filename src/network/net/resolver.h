// Names to addresses, by the system's resolver, off the event loop.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/function.h"
#include "core/env/event_loop.h"
#include "core/env/executor.h"

namespace tepal::net {

// "localhost:8000", "127.0.0.1:80", "[::1]:80", "unix:/path", with or without "http://" before and
// a path behind. Numeric addresses are answered without a look-up.
struct HostPort {
  std::string host;
  uint16_t port = 0;
  static Result<HostPort> Parse(std::string_view text, uint16_t default_port);
};

class Resolver {
 public:
  virtual ~Resolver() = default;
  // `done` runs on `loop`, never inside Resolve. Every address, IPv4 first; at least one on
  // success.
  virtual void Resolve(env::EventLoop& loop, const HostPort& name,
                       Function<void(Result<std::vector<env::Address>>)> done) = 0;
};

// Looks names up on `executor`, which must outlive the resolver and may block.
std::unique_ptr<Resolver> NewResolver(env::Executor& executor);

// Each look-up blocks: for start-up and command-line clients.
Result<std::vector<env::Address>> ResolveBlocking(const HostPort& name);

}  // namespace tepal::net
