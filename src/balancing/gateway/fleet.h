// The other balancers of a fleet, asked what they see: GET /api/tepal/pools of each.
//
// Only those of the configuration are asked, and only they are shown the token of whoever wants to
// know: nothing is followed from one place to another. Who does not answer in time, answers with an
// error or says what cannot be read is shown as such. A name stands for each of its addresses; this
// balancer itself, when it is among them, is left out by its instance. Owned by the control loop.

#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "balancing/gateway/config.h"
#include "balancing/gateway/name_lookups.h"
#include "balancing/load_balancer/fleet_state.h"
#include "core/base/function.h"
#include "core/env/event_loop.h"
#include "network/net/http_client.h"
#include "network/net/resolver.h"

namespace tepal::gateway {

class Fleet {
 public:
  static constexpr size_t kMembersMax = 64;  // Asked at a time.
  static constexpr Duration kTimeMax = 2s;   // For an answer.
  static constexpr uint64_t kBodyBytesMax = 8u << 20;
  static constexpr int kUnderWayMax = 4;     // Askings at a time.
  static constexpr Duration kNamesFor = 5s;  // Until names are looked up again.

  // `tls`: for those with https://; may be null where there is none.
  Fleet(env::EventLoop& loop, net::Resolver& resolver, std::vector<FleetAddress> others,
        std::shared_ptr<net::TlsSource> tls);
  ~Fleet();  // What is under way is not answered.

  // `self`: what this balancer says. `done` gets JSON (fleet_state.h), never inside Ask;
  // kResourceExhausted when kUnderWayMax are under way.
  void Ask(std::string authorization, lb::FleetMember self,
           Function<void(Result<std::string>)> done);

 private:
  struct Asking;
  void LookUp();
  void AskAll(const std::shared_ptr<Asking>& asking);
  void AskOne(const std::shared_ptr<Asking>& asking, const FleetAddress& other,
              const env::Address& address);
  void Finish(const std::shared_ptr<Asking>& asking);

  env::EventLoop& loop_;
  net::Resolver& resolver_;
  const std::vector<FleetAddress> others_;
  std::unique_ptr<net::HttpClient> http_;
  std::unique_ptr<net::HttpClient> https_;
  int under_way_ = 0;
  std::optional<NamesFound> names_;  // The last that were found; absent before the first.
  Instant names_until_{};
  bool looking_up_ = false;
  std::vector<std::shared_ptr<Asking>> wait_for_names_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace tepal::gateway
