#include "network/kube/leader_election.h"

#include <algorithm>

#include "core/base/check.h"

namespace tepal::kube {

LeaderElection::Step LeaderElection::NextStep(Instant now) {
  if (lead_until_ && now >= *lead_until_) lead_until_.reset();
  if (phase_ != Phase::kIdle || now < next_try_) return {};
  if (resigning_ && !holds_) return {};

  const bool ours = exists_ && seen_.holder == options_.identity;
  const bool read_lately = seen_at_.has_value();
  // Our own record is replaced without reading: the version says whether it still is ours.
  const bool free = read_lately && (!exists_ || seen_.holder.empty() || ours ||
                                    now - *seen_at_ >= options_.lease_duration);
  if (!free || (resigning_ && !ours)) {
    phase_ = Phase::kReading;
    return {Step::Kind::kRead, {}, false, false};
  }
  Step step;
  step.kind = Step::Kind::kWrite;
  step.create = !exists_;
  step.record = seen_;
  step.take_over = !ours;
  step.record.holder = resigning_ ? std::string() : options_.identity;
  if (step.take_over && exists_) ++step.record.transitions;
  phase_ = Phase::kWriting;
  write_begun_ = now;
  writing_ = step.record;
  if (!resigning_) holds_ = true;  // From now on: the answer may be lost.
  return step;
}

std::optional<Instant> LeaderElection::NextDeadline() const {
  std::optional<Instant> when = lead_until_;
  if (phase_ == Phase::kIdle && !(resigning_ && !holds_)) {
    when = when ? std::min(*when, next_try_) : next_try_;
  }
  return when;
}

void LeaderElection::OnRead(std::optional<LeaseRecord> record, Instant now) {
  TEPAL_CHECK(phase_ == Phase::kReading);
  phase_ = Phase::kIdle;
  next_try_ = now + options_.retry_period;
  exists_ = record.has_value();
  if (!record) {
    seen_ = {};
    seen_at_ = now;
    holds_ = false;
    next_try_ = now;
    return;
  }
  // The version changes with every renewal: an unchanged one is a lease that nobody renews.
  if (!seen_at_ || record->resource_version != seen_.resource_version) seen_at_ = now;
  seen_ = *std::move(record);
  if (seen_.holder != options_.identity) holds_ = false;
  if (seen_.holder.empty() || seen_.holder == options_.identity) next_try_ = now;
  if (now - *seen_at_ >= options_.lease_duration) next_try_ = now;
}

void LeaderElection::OnReadFailed(Instant now) {
  TEPAL_CHECK(phase_ == Phase::kReading);
  phase_ = Phase::kIdle;
  next_try_ = now + options_.retry_period;
}

void LeaderElection::OnWritten(const std::string& resource_version, Instant now) {
  TEPAL_CHECK(phase_ == Phase::kWriting);
  phase_ = Phase::kIdle;
  next_try_ = now + options_.retry_period;
  exists_ = true;
  seen_ = writing_;
  seen_.resource_version = resource_version;
  seen_at_ = now;
  if (seen_.holder.empty()) {
    holds_ = false;
    return;
  }
  if (resigning_) {
    next_try_ = now;  // Written before we knew: give it back.
    return;
  }
  // From when the renewal was begun: the others may have seen it that early.
  lead_until_ = write_begun_ + options_.renew_deadline;
}

void LeaderElection::OnWriteFailed(Instant now) {
  TEPAL_CHECK(phase_ == Phase::kWriting);
  phase_ = Phase::kIdle;
  next_try_ = now + options_.retry_period;
  // Whether it was written nobody knows: what is there now must be read first.
  seen_at_.reset();
  seen_ = {};
  exists_ = false;
}

void LeaderElection::Resign(Instant now) {
  resigning_ = true;
  lead_until_.reset();
  next_try_ = now;
}

}  // namespace tepal::kube
