// How fast one endpoint works, learned from what the balancer sees of it, and when it would be done
// with one more request.
//
// While an endpoint has something to do, the time between its answers is what one request costs it,
// whatever makes it fast or slow: its share of a GPU, batching, instances side by side. So slots of
// unequal speed need no weights. What it works on was begun when the answer before came, or when
// its first request did; that says how much of it is left. No request is answered faster than one
// that has the endpoint to itself.
//
// A plain state machine; owned by whoever keeps the endpoint.

#pragma once

#include <cstdint>

#include "core/base/time.h"

namespace tepal::lb {

class ServiceEstimate {
 public:
  // A request that is work has been sent. True: it has the endpoint to itself.
  bool OnBegin(Instant now);

  // It has ended. `answered`: with an answer that took work, and not a refusal or a failure.
  void OnEnd(bool alone, Duration latency, bool answered, Instant now);

  // In how many seconds one more request would be answered, with `in_flight` before it. `usual` is
  // what a request costs the pool's endpoints: for one that is new, or has been idle for so long
  // that what is known of it says little.
  double Expect(uint32_t in_flight, double usual, Instant now) const;

  // Seconds of work of one request; 0 while nothing is known.
  double seconds() const { return answers_ > 0 ? busy_ / answers_ : 0; }

 private:
  uint32_t working_ = 0;
  Instant mark_{};   // The last answer, or when it last began to be busy.
  double busy_ = 0;  // Seconds, and the answers in them; older ones count less and less.
  double answers_ = 0;
  double alone_ = 0;  // Seconds until the answer to a request that had it to itself.
};

}  // namespace tepal::lb
