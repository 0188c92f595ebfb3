#include "balancing/load_balancer/hedging.h"

#include "core/base/text.h"

namespace tepal::lb {

namespace {

// What is usual is known within a few hundredths, and so is what is expected.
constexpr double kMargin = 1.25;

}  // namespace

bool MayHedge(const HedgeFacts& facts, uint32_t tries_max) {
  return facts.route == RouteKind::kInfer && !facts.sequence && facts.whole &&
         facts.tries_begun < tries_max;
}

Status Hedging::Validate(const Options& options) {
  if (!(options.quantile >= 0 && options.quantile < 1)) {
    return InvalidArgument(
        Concat("hedging: quantile is ", options.quantile, ", expected 0 to below 1"));
  }
  if (options.after < Duration(0)) return InvalidArgument("hedging: after is below 0");
  if (!(options.share >= 0 && options.share <= 1)) {
    return InvalidArgument(Concat("hedging: share is ", options.share, ", expected 0 to 1"));
  }
  if (!(options.tokens_max >= 1)) {
    return InvalidArgument(
        Concat("hedging: tokens_max is ", options.tokens_max, ", expected at least 1"));
  }
  return {};
}

void Hedging::Reconfigure(const Options& options) {
  options_ = options;
  budget_.Reconfigure(BudgetOf(options));
}

void Hedging::OnRequest() {
  if (options_.on()) budget_.OnRequest();
}

Duration Hedging::After(std::optional<Duration> usual) const {
  return options_.quantile > 0 ? usual.value_or(Duration(0)) : options_.after;
}

bool Hedging::TryBegin(const Moment& moment) {
  if (!options_.on() || moment.panic || moment.others_wait) return false;
  const double expected_max = kMargin * ToSeconds(moment.usual.value_or(Duration::max()));
  if (moment.expected > expected_max) return false;
  return budget_.TryTake();
}

}  // namespace tepal::lb
