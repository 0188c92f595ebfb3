// The active health checks of one endpoint: when to ask, and what the answers mean.
//
// A plain state machine: the owner sends the requests and says how they went. A new endpoint is
// checked at once and then often, so that it carries load as soon as it can.

#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "balancing/load_balancer/health_match.h"
#include "core/base/status.h"
#include "core/base/time.h"

namespace tepal::lb {

class HealthCheck {
 public:
  enum class Kind {
    kHttp,        // GET `path`, judged by `match`.
    kGrpcHealth,  // grpc.health.v1.Health/Check of `service`, which must be SERVING.
    kKserve,      // ServerReady, or ModelReady of the model `service`.
  };
  struct Options {
    bool enabled = true;  // False: every endpoint counts as healthy from the start.
    Kind kind = Kind::kHttp;
    std::string path = "/v2/health/ready";
    HealthMatch::Options match;
    std::string service;     // Of the gRPC kinds; empty: the server as a whole.
    int grpc_status = 0;     // Passes as well; 12: servers without that service count as healthy.
    uint16_t port = 0;       // Where to ask; 0: the endpoint's own, for gRPC its gRPC port.
    Duration interval = 1s;  // From the end of one check to the next.
    Duration jitter{};       // And up to that much longer, each time another.
    Duration interval_starting = 100ms;  // The same, until the first check that passes.
    Duration time_max = 2s;              // A check without an answer by then has failed.
    // Also after so many times as long as checks have taken of late, and never before
    // kLearnedTimeMin. 0: not so.
    uint32_t time_factor = 20;
    uint32_t fails = 2;   // In a row, until a healthy endpoint is not.
    uint32_t passes = 1;  // In a row, until an unhealthy endpoint is healthy.
  };
  static constexpr Duration kLearnedTimeMin = 500ms;
  enum class State { kChecking, kHealthy, kUnhealthy };

  // For the admin API.
  struct Counters {
    uint64_t checks = 0;
    uint64_t fails = 0;
    uint64_t unhealthy = 0;  // How often it became unhealthy.
    bool last_passed = false;
    std::string last_error;  // Why the last one failed; empty when it passed.
  };

  // kInvalidArgument names the option that makes no sense.
  static Status Validate(const Options& options);

  // `salt` makes the jitter, and should be different for each endpoint.
  HealthCheck(const Options& options, Instant now, uint64_t salt = 0);

  // Whether a check is to be sent now; if so its number, to be given back with the answer.
  std::optional<uint64_t> Due(Instant now);

  // The answer to check `number`; one that comes too late is ignored. `error` is empty on success.
  void OnResult(uint64_t number, std::string error, Instant now);

  // A request has just failed: ask soon rather than at the next interval.
  void Suspect(Instant now);

  // The options have changed: what they say next is asked for no later than they want it. An
  // endpoint that is healthy stays so until a check says otherwise.
  void OnReconfigured(Instant now);

  // When Due or a time limit wants to be looked at; empty when checks are off.
  std::optional<Instant> NextDeadline() const;

  State state() const { return state_; }
  const Counters& counters() const { return counters_; }

 private:
  void Record(std::string error, Instant now);
  Duration TimeMax() const;
  Duration Jitter() const;

  const Options& options_;
  State state_;
  Counters counters_;
  Instant next_;  // The next check, or the time limit of the one in progress.
  Instant last_begun_{};
  Duration time_{};  // The longest that one which passed has taken, older ones counting for less.
  bool in_progress_ = false;
  uint64_t number_ = 0;
  const uint64_t salt_;
  uint32_t in_a_row_ = 0;  // Answers that speak against state_.
};

}  // namespace tepal::lb
