// Forwards requests to the endpoints that the pool chooses: the balancer's data path on one loop.
//
// A small request is collected, tried, and tried again where docs/retries.md allows; a small answer
// is held until it is complete, so that an endpoint that dies on the way costs the client nothing.
// Large bodies stream through in both directions, as fast as the slower side takes them. A client
// that leaves cancels its request upstream. Errors of the balancer's own are {"error": "…"}: 502
// the endpoint failed, 503 (with Retry-After) there was none in time, 504 it did not answer in
// time, 401 where tokens are wanted, 403 for requests that would change one replica of many.
//
// gRPC is balanced call by call, over HTTP/2 connections to the endpoints that many calls share:
// unary calls as above, others passed through message by message as they come. Errors of the
// balancer's own are then UNAVAILABLE, DEADLINE_EXCEEDED and PERMISSION_DENIED, and grpc-timeout is
// passed on with what is left of it.
//
// Headers: hop-by-hop fields are the sessions' business; Host and everything else is passed on as
// it came (traceparent and tracestate with it), x-request-id is added when there is none and sent
// back, x-forwarded-for and x-forwarded-proto are appended. Owned by one loop, shared by the
// handlers of its doors.

#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "balancing/load_balancer/access_log.h"
#include "balancing/load_balancer/hash_key.h"
#include "balancing/load_balancer/inference_access.h"
#include "balancing/load_balancer/pool.h"
#include "balancing/load_balancer/proxy_statistics.h"
#include "balancing/load_balancer/replay_budget.h"
#include "core/base/guarded.h"
#include "core/buffer/budget.h"
#include "network/http/stream.h"
#include "network/net/http_client.h"

namespace tepal::lb {

struct ProxyOptions {
  size_t replay_bytes_max = 1u << 20;          // Request bodies up to this are kept for retries.
  size_t replay_total_bytes_max = 256u << 20;  // All of them together.
  size_t hold_bytes_max = 1u << 20;            // Answers up to this are held until complete.
  size_t hold_total_bytes_max = 256u << 20;    // All of them together.
  Duration try_time_max = 30s;                 // For the head of an endpoint's answer.
  Duration answer_idle_max = 60s;              // Without a byte of the rest; calls: no limit.
  uint32_t tries_max = kTriesMax;              // See retry.h.
  bool allow_changes = false;                  // Pass on what changes one replica of many.
  std::optional<HashKey> hash_key;             // With ChoicePolicy::kHash.
  std::shared_ptr<AccessSource> access;        // Null: everybody may.
  std::shared_ptr<LineSink> access_log;        // Null: none.
  std::string upstream;                        // For it.
  net::HttpClient::Options client;             // Its `http2` is set by the handler.
  http::Limits server_limits;                  // Of the server that the handler is made for.
};

class ProxyAttempt;
class ProxyExchange;

class ProxyHandler final : public http::RequestHandler, private Pool::Member {
 public:
  // What the proxies of all loops share; thread-safe.
  struct Shared {
    explicit Shared(ProxyOptions options)
        : replay_budget(options.replay_total_bytes_max),
          hold_budget(options.hold_total_bytes_max),
          options_(std::move(options)) {}

    // For requests from now on; those in progress keep what they began with. The budget of held
    // answers, and of `client` all but connect_time_max, stay what they were. On the control loop.
    void SetOptions(ProxyOptions options);
    ProxyOptions options() { return *options_.Lock(); }
    uint64_t version() const { return version_.load(std::memory_order_acquire); }  // Of them.

    ReplayBudget replay_budget;
    Budget hold_budget;
    ProxyStatistics statistics;

   private:
    Guarded<ProxyOptions> options_;
    std::atomic<uint64_t> version_{1};
  };

  // `seed` makes request ids; different on each loop.
  ProxyHandler(env::EventLoop& loop, std::shared_ptr<Pool> pool, std::shared_ptr<Shared> shared,
               uint64_t seed);
  ~ProxyHandler() override;

  std::unique_ptr<http::RequestReceiver> OnRequest(http::RequestHead head,
                                                   http::ResponseSender& sender) override;

 private:
  friend class ProxyAttempt;
  friend class ProxyExchange;
  using Tries = std::multimap<Instant, ProxyAttempt*>;

  std::optional<std::string> WhoGathers(http::RequestHead& head);
  bool OnGranted(const Pool::Grant& grant) override;
  void OnExpired(Ticket ticket) override;
  void OnTooLate(Ticket ticket) override;
  void OnSuspected(EndpointId endpoint) override;

  void TakeOptions();

  // Tries by the moment at which each wants to be asked how it is.
  Tries::iterator AddTry(ProxyAttempt& attempt, Instant limit);
  void RemoveTry(Tries::iterator position) { tries_.erase(position); }
  void ArmTryTimer();
  void OnTryTimer();

  Ticket NewTicket() { return Pool::MakeTicket(member_, ++tickets_); }

  env::EventLoop& loop_;
  const std::shared_ptr<Pool> pool_;
  const std::shared_ptr<Shared> shared_;
  uint64_t options_version_ = 0;
  std::shared_ptr<const ProxyOptions> options_;  // A copy for this loop alone.
  env::SeededRandom random_;
  AccessCache access_cache_;
  std::unique_ptr<net::HttpClient> client_;
  std::unique_ptr<net::HttpClient> grpc_client_;
  uint32_t member_ = 0;
  uint64_t tickets_ = 0;
  std::unordered_map<Ticket, std::shared_ptr<ProxyExchange>> waiting_;
  Tries tries_;
  env::EventLoop::TimerId try_timer_ = 0;
  Instant try_timer_at_{};
  const size_t client_high_water_;
};

}  // namespace tepal::lb
