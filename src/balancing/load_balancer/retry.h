// What to do when a try has ended: the table of docs/retries.md as a pure function, and the budget
// that keeps retries from multiplying load.

#pragma once

#include <cstdint>

#include "balancing/load_balancer/route.h"
#include "core/base/time.h"

namespace tepal::lb {

enum class TryEnd {
  kUnprocessed,     // No connection, or the server has not begun: it may be sent anywhere.
  kConnectionLost,  // After the request may have been read.
  kTimedOut,        // No head within try_time_max, or nothing more within answer_idle_max.
  kSuspected,       // Still waiting for an answer of an endpoint that fails its health checks.
  kAnswered,        // A whole answer, or the head of one that is streamed.
  kCancelled,       // Nobody waits for it: the client has gone, or the try before it was in time.
  kOutrun,          // A try that began later has answered: this one takes at least so long.
};

struct RetryFacts {
  TryEnd end = TryEnd::kAnswered;
  int status = 0;  // With kAnswered.
  RouteKind route = RouteKind::kOther;
  bool sequence = false;        // It belongs to a sequence: the model's state would change twice.
  bool sequence_start = false;  // And begins it.
  bool body_kept = false;     // The whole request, as far as it has come, is in the replay buffer.
  bool answer_begun = false;  // Some of the answer is with the client.
  uint32_t tries_begun = 1;   // Tries, this one included, that a server may have begun to work on.
};

enum class RetryVerdict {
  kPassOn,       // The answer goes to the client.
  kFail,         // The client gets an error: 502, or 504 after a time limit.
  kBreakOff,     // The client's exchange is reset: it has part of an answer.
  kAgain,        // Send again, if the budget has a token.
  kBackInLine,   // Send again; no server did work for it, so no token is needed.
  kGoOnWaiting,  // Leave the try alone.
  kForget,       // Nobody is waiting.
};

inline constexpr uint32_t kTriesMax = 3;

RetryVerdict JudgeTry(const RetryFacts& facts, uint32_t tries_max = kTriesMax);

// How long a request waits before it goes to an endpoint that it has tried already.
Duration RetryDelay(uint32_t tries);

// Tokens: a new request brings a part of one, a retry takes one.
class RetryBudget {
 public:
  struct Options {
    double share = 0.2;  // Tokens for each new request.
    double tokens_start = 100;
    double tokens_max = 1000;
    uint32_t active_min = 3;  // Retries in progress that are allowed without a token.
  };

  explicit RetryBudget(const Options& options) : options_(options), tokens_(options.tokens_start) {}

  void Reconfigure(const Options& options);  // Tokens above the new maximum are lost.
  void OnRequest();
  bool TryTake();  // Begins a retry.
  bool CanTake() const { return tokens_ >= 1 || active_ < options_.active_min; }
  void OnRetryEnd();  // Of a retry that TryTake allowed.

  uint32_t active() const { return active_; }
  double tokens() const { return tokens_; }
  uint64_t allowed() const { return allowed_; }
  uint64_t refused() const { return refused_; }

 private:
  Options options_;
  double tokens_;
  uint32_t active_ = 0;
  uint64_t allowed_ = 0;
  uint64_t refused_ = 0;
};

}  // namespace tepal::lb
