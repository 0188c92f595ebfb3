// A reading of the whole balancer at one moment: what the admin API, the metrics page, the
// dashboard and the supervisor are made from.

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "balancing/load_balancer/pool.h"
#include "core/base/time.h"

namespace tepal::lb {

struct EndpointReading {
  Dispatcher::EndpointStatus status;
  uint64_t requests = 0;                // Tries sent.
  StatusReading codes;                  // Answers by status,
  std::array<uint64_t, 5> responses{};  // and by class; [0]: 1xx … [4]: 5xx.
  uint64_t failures = 0;
  uint64_t cancelled = 0;
  uint64_t bytes_sent = 0;
  uint64_t bytes_received = 0;
  double rate_1s = 0;  // Requests a second.
  double rate_10s = 0;
  double share = 0;                     // Of the requests of the last 10 s; 0 to 1.
  std::optional<Duration> latency_p50;  // Of the last 10 s: try begun to last byte.
  std::optional<Duration> latency_p99;
  std::optional<Duration> header_time;  // Moving averages.
  std::optional<Duration> response_time;
  std::vector<double> history;  // Requests a second, one value a second, oldest first.
};

struct ModelReading {
  ModelStatus status;
  double rate_1s = 0;
  double rate_10s = 0;
  std::vector<double> history;
};

struct BalancerState {
  Instant now{};
  WallTime wall_now{};
  WallTime started{};
  std::string upstream;

  uint64_t models = 0;                     // That are known.
  std::vector<EndpointReading> endpoints;  // In order of adding; removed ones last a while.
  uint64_t in_flight = 0;                  // With endpoints.
  uint64_t waiting = 0;                    // For an endpoint.
  Duration oldest_wait{};
  uint32_t queue_size_max = 0;
  Dispatcher::Counters counters;
  uint64_t retries = 0;
  uint64_t retries_refused = 0;
  double retry_tokens = 0;
  bool hedging = false;         // It is switched on.
  uint64_t hedges = 0;          // Second tries sent.
  uint64_t hedges_won = 0;      // Whose answers clients got.
  uint64_t hedges_refused = 0;  // For lack of a token.

  // Clients' side.
  uint64_t requests = 0;
  StatusReading codes;
  std::array<uint64_t, 5> responses{};
  uint64_t failed = 0;        // Answered with an error of the balancer's own (5xx).
  uint64_t broken_off = 0;    // Lost within a streamed answer.
  uint64_t refused = 0;       // 403.
  uint64_t unauthorized = 0;  // 401.
  uint64_t client_gone = 0;
  uint64_t load_reports = 0;    // Read from endpoints' answers.
  uint64_t load_malformed = 0;  // And those that made no sense.
  uint64_t rescued = 0;         // Tries given up for taking far longer than usual.
  uint64_t active = 0;
  uint64_t bytes_received = 0;
  uint64_t bytes_sent = 0;
  double rate_1s = 0;
  double rate_10s = 0;
  std::optional<Duration> latency_p50;  // Of the last 10 s: head received to answer complete.
  std::optional<Duration> latency_p99;
  std::vector<double> history;

  uint64_t connections_accepted = 0;
  uint64_t connections_refused = 0;
  uint64_t connections_open = 0;
  uint64_t tls_handshakes = 0;
  uint64_t tls_handshake_failures = 0;
  uint64_t replay_bytes = 0;
};

// Another moment on the wall clock, from one on the loop's.
inline WallTime ToWall(const BalancerState& state, Instant when) {
  return state.wall_now + (when - state.now);
}

}  // namespace tepal::lb
