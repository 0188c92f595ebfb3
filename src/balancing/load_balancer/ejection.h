// Passive ejection: an endpoint whose requests fail is left out for a while.
//
// Two kinds of failure are told apart. A transport failure (no connection, connection lost, no
// answer in time) is the endpoint's own. An error answer (5xx) may as well be the request's fault,
// or a model's that fails everywhere: it only counts against an endpoint while others succeed.
// How many may be out at once is the pool's business: see Ejection::Pool.

#pragma once

#include <cstdint>
#include <optional>

#include "core/base/status.h"
#include "core/base/time.h"

namespace tepal::lb {

class Ejection {
 public:
  struct Options {
    bool enabled = true;
    uint32_t failures = 3;    // Transport failures in a row.
    uint32_t errors = 5;      // 5xx answers in a row, while others succeed as often.
    Duration time_base = 2s;  // Out for this long the first time, twice as long the next, …
    Duration time_max = 60s;
    Duration forgive_after = 60s;  // A step back for each such time without an ejection.
    // At most this share of the pool may be out at once; rounded down, so that one of one never is.
    double share_max = 0.5;
    // When less than this share of the pool is left, ejected endpoints are used all the same.
    double panic_share = 0.5;
  };
  enum class Outcome { kSuccess, kTransportFailure, kErrorAnswer };

  static Status Validate(const Options& options);

  explicit Ejection(const Options& options) : options_(options) {}

  // How a request to this endpoint ended. `successes_elsewhere` counts the successes of the other
  // endpoints since the beginning of time. True: it has earned an ejection; the owner calls Eject
  // when the pool can spare it.
  bool Record(Outcome outcome, uint64_t successes_elsewhere);

  // Leaves the endpoint out from `now` on.
  void Eject(Instant now);

  // Ends an ejection whose time is up. True when it did.
  bool Release(Instant now);

  bool ejected() const { return until_.has_value(); }
  std::optional<Instant> until() const { return until_; }
  uint64_t count() const { return count_; }

  // Whether one more of `total` endpoints may be out when `ejected` are.
  static bool MayEject(const Options& options, uint32_t ejected, uint32_t total);

  // Whether ejections are to be ignored when `available` of `total` endpoints are left.
  static bool Panic(const Options& options, uint32_t available, uint32_t total);

 private:
  const Options& options_;
  uint32_t failures_in_a_row_ = 0;
  uint32_t errors_in_a_row_ = 0;
  uint64_t elsewhere_at_first_error_ = 0;
  uint32_t step_ = 0;  // How many times in a short while.
  uint64_t count_ = 0;
  std::optional<Instant> until_;
  Instant last_end_{};
};

}  // namespace tepal::lb
