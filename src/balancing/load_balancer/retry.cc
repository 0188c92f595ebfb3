#include "balancing/load_balancer/retry.h"

#include <algorithm>

#include "core/base/check.h"

namespace tepal::lb {

RetryVerdict JudgeTry(const RetryFacts& facts, uint32_t tries_max) {
  if (facts.end == TryEnd::kCancelled || facts.end == TryEnd::kOutrun) return RetryVerdict::kForget;
  const bool may_repeat = Repeatable(facts.route) && !facts.sequence && facts.body_kept &&
                          facts.tries_begun < tries_max;
  if (facts.end == TryEnd::kAnswered) {
    const bool refused = facts.status == 503 && !facts.answer_begun;
    return refused && may_repeat ? RetryVerdict::kAgain : RetryVerdict::kPassOn;
  }
  if (facts.answer_begun) return RetryVerdict::kBreakOff;
  switch (facts.end) {
    case TryEnd::kUnprocessed:
      // The rest of a sequence is of use to nobody but the endpoint that has its state.
      if (facts.sequence && !facts.sequence_start) return RetryVerdict::kFail;
      return facts.body_kept ? RetryVerdict::kBackInLine : RetryVerdict::kFail;
    case TryEnd::kSuspected:
      return may_repeat ? RetryVerdict::kAgain : RetryVerdict::kGoOnWaiting;
    default:
      return may_repeat ? RetryVerdict::kAgain : RetryVerdict::kFail;
  }
}

Duration RetryDelay(uint32_t tries) {
  constexpr Duration kFirst = 25ms;
  constexpr Duration kMax = 1s;
  return std::min<Duration>(kFirst * (int64_t{1} << std::min(tries, 10u)), kMax);
}

void RetryBudget::Reconfigure(const Options& options) {
  options_ = options;
  tokens_ = std::min(tokens_, options_.tokens_max);
}

void RetryBudget::OnRequest() { tokens_ = std::min(tokens_ + options_.share, options_.tokens_max); }

bool RetryBudget::TryTake() {
  if (tokens_ >= 1) {
    tokens_ -= 1;
  } else if (active_ >= options_.active_min) {
    ++refused_;
    return false;
  }
  ++active_;
  ++allowed_;
  return true;
}

void RetryBudget::OnRetryEnd() {
  TEPAL_CHECK(active_ > 0);
  --active_;
}

}  // namespace tepal::lb
