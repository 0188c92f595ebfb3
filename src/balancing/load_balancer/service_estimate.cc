#include "balancing/load_balancer/service_estimate.h"

#include <algorithm>
#include <cmath>

namespace tepal::lb {

namespace {

constexpr double kForget = 1.0 / 64;  // Of what is known, with each answer.
constexpr double kForgetAlone = 0.1;  // The same of `alone_`.
constexpr double kIdleHalfLife = 30;  // Seconds without work until half of it is gone.
constexpr double kIdleFrom = 1;
constexpr double kForgetQuickest = 1.0 / 64;
constexpr uint64_t kColdAnswers = 16;       // That say nothing of the pace.
constexpr double kKnownFrom = 16;           // And so many more before it is known.
constexpr double kStall = 64;               // Times the usual.
constexpr double kForgetSaid = 1.0 / 8;     // Of what a request costs, with each report.
constexpr double kForgetOthers = 1.0 / 32;  // Of the usual number of others.
constexpr double kFade = 1;  // Requests' time until half of what it said last is the usual.

// How much of what it works on is done, if that was begun when its last answer came. Of requests of
// very different length that time says nothing: what is left of one is what it was at first.
// `quickest`: the least that one has taken of late.
double Done(double since, double each, double quickest) {
  if (each <= 0) return 0;
  return std::min(since, each) * std::clamp(quickest / each, 0.0, 1.0);
}

}  // namespace

bool ServiceEstimate::OnBegin(Instant now) {
  if (working_++ > 0) return false;
  mark_ = now;
  return true;
}

void ServiceEstimate::OnEnd(bool alone, Duration latency, bool answered, Instant now) {
  --working_;
  if (!answered) return;
  LearnPace(ToSeconds(now - mark_));
  busy_ = (busy_ + ToSeconds(now - mark_)) * (1 - kForget);
  answers_ = (answers_ + 1) * (1 - kForget);
  mark_ = now;
  const double took = ToSeconds(latency);
  quickest_ =
      quickest_ > 0 && took > quickest_ ? quickest_ + (took - quickest_) * kForgetQuickest : took;
  if (!alone) return;
  alone_ += (ToSeconds(latency) - alone_) * (alone_ > 0 ? kForgetAlone : 1);
}

void ServiceEstimate::OnReport(const ModelLoad& load, uint64_t there, uint32_t in_flight,
                               Instant now) {
  const double each = ToSeconds(load.each);
  if (each <= 0) return;
  const bool first = said_each_ <= 0;
  said_each_ += (each - said_each_) * (first ? 1 : kForgetSaid);
  said_instances_ = static_cast<double>(load.instances);
  said_others_ = std::max(0.0, static_cast<double>(there) - in_flight);
  usual_others_ += (said_others_ - usual_others_) * (first ? 1 : kForgetOthers);
  said_at_ = now;
}

double ServiceEstimate::Others(Instant now) const {
  if (!Said(now)) return 0;
  const double fade = kFade * said_each_ * said_instances_;
  const double kept = std::exp2(-ToSeconds(now - said_at_) / fade);
  return usual_others_ + (said_others_ - usual_others_) * kept;
}

double ServiceEstimate::ExpectAsSaid(uint32_t in_flight, Instant now) const {
  // Between two answers to us it answers others, too: seconds() has the usual number of them in it.
  // What it said counts as far as it is not the usual.
  const double each = std::max(seconds(), said_each_);
  const double more = Others(now) - usual_others_;
  const double once = std::max(alone_, said_each_ * said_instances_);
  const double since = in_flight > 0 ? ToSeconds(now - mark_) : 0;
  return std::max(once, each * (in_flight + 1) + said_each_ * more -
                            Done(since, said_each_, quickest_ / said_instances_));
}

void ServiceEstimate::LearnPace(double gap) {
  if (++seen_ <= kColdAnswers) return;
  if (pace_answers_ >= kKnownFrom / 2) gap = std::min(gap, kStall * pace_busy_ / pace_answers_);
  pace_busy_ = (pace_busy_ + gap) * (1 - kForget);
  pace_answers_ = (pace_answers_ + 1) * (1 - kForget);
}

std::optional<double> ServiceEstimate::Soonest(uint32_t in_flight, Instant now) const {
  const double since = ToSeconds(now - mark_);
  if (seen_ < kColdAnswers + static_cast<uint64_t>(kKnownFrom) || since > kIdleFrom) {
    return std::nullopt;
  }
  const double each = Said(now) ? said_each_ : pace_busy_ / pace_answers_;
  const double before = std::max(0.0, in_flight + Others(now) - said_instances_ + 1);
  return std::max(0.0, before * each - since) + quickest_;
}

double ServiceEstimate::Expect(uint32_t in_flight, double usual, Instant now) const {
  if (Said(now)) return ExpectAsSaid(in_flight, now);
  if (answers_ <= 0) return usual * (in_flight + 1);
  const double since = ToSeconds(now - mark_);
  double each = seconds();
  if (in_flight == 0) {
    const double once = std::max(alone_, each);
    if (since < kIdleFrom) return once;
    const double kept = std::exp2(-since / kIdleHalfLife);
    return once * kept + usual * (1 - kept);
  }
  return std::max(alone_, each * (in_flight + 1) - Done(since, each, quickest_));
}

}  // namespace tepal::lb
