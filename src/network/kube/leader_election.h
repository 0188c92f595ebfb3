// Who of several replicas leads, by a Lease object: the decisions, without a connection.
//
// The protocol is client-go's, so that our replicas and others' tools agree on what a Lease says.
// A candidate never compares its clock with anybody's: that a lease has run out it judges by how
// long it has seen the same record unchanged, and whoever leads stops `renew_deadline` after it
// *began* the last renewal that succeeded. As long as clocks tick at about the same rate there are
// never two leaders: renew_deadline < lease_duration.
//
//   step = NextStep(now)
//   kRead:  get the Lease, then OnRead(record or none, now)
//   kWrite: create or update it with `record`, then OnWritten(won, new version, now)
//
// Clockless; one owner.

#pragma once

#include <optional>
#include <string>

#include "core/base/time.h"

namespace tepal::kube {

// What matters of a Lease.
struct LeaseRecord {
  std::string holder;  // Empty: released.
  int64_t transitions = 0;
  std::string acquired_at;       // As written by the holder; we only pass it on.
  std::string resource_version;  // Of the object; changes with every write.
};

class LeaderElection {
 public:
  struct Options {
    std::string identity;           // Unique among the candidates.
    Duration lease_duration = 15s;  // Without a change for so long: free to take.
    Duration renew_deadline = 10s;  // The leader gives up that long after its last renewal.
    Duration retry_period = 2s;
  };
  struct Step {
    enum class Kind { kNone, kRead, kWrite };
    Kind kind = Kind::kNone;
    LeaseRecord record;      // To write; its resource_version is the one to replace.
    bool create = false;     // There is no Lease yet.
    bool take_over = false;  // acquired_at becomes now.
  };

  explicit LeaderElection(Options options) : options_(std::move(options)) {}

  Step NextStep(Instant now);
  // When to ask again, also for `leading` to be looked at; empty while a step is in progress and we
  // do not lead.
  std::optional<Instant> NextDeadline() const;

  // Empty: there is no Lease.
  void OnRead(std::optional<LeaseRecord> record, Instant now);
  void OnReadFailed(Instant now);
  // `resource_version`: of the Lease as written.
  void OnWritten(const std::string& resource_version, Instant now);
  // Somebody else was faster, or nobody knows.
  void OnWriteFailed(Instant now);

  bool leading(Instant now) const { return lead_until_ && now < *lead_until_; }
  const std::string& holder() const { return seen_.holder; }

  // Leads no more; the next step tells the others, so that they need not wait.
  void Resign(Instant now);
  bool resigned() const { return resigning_ && !holds_; }

 private:
  enum class Phase { kIdle, kReading, kWriting };

  const Options options_;
  Phase phase_ = Phase::kIdle;
  Instant next_try_{};
  LeaseRecord seen_;
  std::optional<Instant> seen_at_;  // When seen_ was first seen; empty: never read.
  bool exists_ = false;
  bool holds_ = false;  // The Lease may say that we lead.
  std::optional<Instant> lead_until_;
  Instant write_begun_{};
  LeaseRecord writing_;
  bool resigning_ = false;
};

}  // namespace tepal::kube
