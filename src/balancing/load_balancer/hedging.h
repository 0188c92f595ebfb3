// When a request that takes long is sent a second time, to another endpoint, while its first try
// goes on: "Hedging" of docs/retries.md. The first good answer counts, and the other try is
// cancelled.
//
// A plain state machine: when a second try may be looked at, whether one may be sent then, and the
// budget of all of them. It does not choose the endpoint (dispatcher.h) and does not know which
// request it is (MayHedge does); off until one of `quantile` and `after` is given. One for a pool,
// owned by its dispatcher.

#pragma once

#include <cstdint>
#include <optional>

#include "balancing/load_balancer/retry.h"
#include "balancing/load_balancer/route.h"
#include "balancing/load_balancer/try_limit.h"
#include "core/base/status.h"
#include "core/base/time.h"

namespace tepal::lb {

// What is known of a request whose first try has no answer yet.
struct HedgeFacts {
  RouteKind route = RouteKind::kOther;
  bool sequence = false;     // It belongs to a sequence: the model's state would change twice.
  bool whole = false;        // All of it has come and is in the replay buffer.
  uint32_t tries_begun = 1;  // As in RetryFacts.
};

// Sent twice it does no harm.
bool MayHedge(const HedgeFacts& facts, uint32_t tries_max);

class Hedging {
 public:
  struct Options {
    // After the time within which that share of the model's answers came of late, below 1.
    double quantile = 0;
    Duration after{};        // Or after that time; both 0: never.
    double share = 0.05;     // Of the inferences may be sent twice,
    double tokens_max = 50;  // or that many in a row, saved up.
    bool on() const { return quantile > 0 || after > Duration(0); }
    // How much of a model's answers its usual time covers.
    double usual_quantile() const { return quantile > 0 ? quantile : TryLimit::kUsualQuantile; }
  };
  // kInvalidArgument names the option that makes no sense.
  static Status Validate(const Options& options);

  explicit Hedging(const Options& options) : options_(options), budget_(BudgetOf(options)) {}
  void Reconfigure(const Options& options);

  // A new inference: it brings a part of a token.
  void OnRequest();

  // How long a try is let go before another one beside it is thought of; 0: for ever. `usual`:
  // within which usual_quantile() of its model's answers have come; nothing while that is not
  // known.
  Duration After(std::optional<Duration> usual) const;

  // What is known of the pool at that moment.
  struct Moment {
    bool panic = false;        // So many endpoints are out that ejected ones are used.
    bool others_wait = false;  // Requests that have no endpoint yet.
    double expected = 0;       // Seconds until the best other endpoint would answer.
    std::optional<Duration> usual{};
  };
  // Takes a token when the other endpoint would answer within the usual time and nobody needs it
  // more. True: the try begins, and OnEnd comes with its end.
  bool TryBegin(const Moment& moment);
  void OnEnd() { budget_.OnRetryEnd(); }

  uint64_t begun() const { return budget_.allowed(); }
  uint64_t refused() const { return budget_.refused(); }  // For lack of a token.
  uint32_t active() const { return budget_.active(); }

 private:
  // Empty at first, and nothing without a token.
  static RetryBudget::Options BudgetOf(const Options& options) {
    return {.share = options.share,
            .tokens_start = 0,
            .tokens_max = options.tokens_max,
            .active_min = 0};
  }

  Options options_;
  RetryBudget budget_;
};

}  // namespace tepal::lb
