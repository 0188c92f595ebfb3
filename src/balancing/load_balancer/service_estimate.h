// How fast one endpoint works, learned from what the balancer sees of it, and when it would be done
// with one more request.
//
// While an endpoint has something to do, the time between its answers is what one request costs it,
// whatever makes it fast or slow: its share of a GPU, batching, instances side by side. So slots of
// unequal speed need no weights. What it works on was begun when the answer before came, or when
// its first request did; that says how much of it is left. No request is answered faster than one
// that has the endpoint to itself.
//
// A server that says with its answers how loaded it is (serving/kserve_wire/model_load.h) is
// believed: what a request costs, and how many are there that others have sent. Those are added to
// our own, which we know better. What it said is the less true the older it is, so it fades into
// the usual number of others there, and counts for nothing after kSaidFor. Without it all of the
// above holds.
//
// A plain state machine; owned by whoever keeps the endpoint.

#pragma once

#include <cstdint>
#include <optional>

#include "core/base/time.h"
#include "serving/kserve_wire/model_load.h"

namespace tepal::lb {

class ServiceEstimate {
 public:
  // A request that is work has been sent. True: it has the endpoint to itself.
  bool OnBegin(Instant now);

  // It has ended. `answered`: with an answer that took work, and not a refusal or a failure.
  void OnEnd(bool alone, Duration latency, bool answered, Instant now);

  // What it said of itself: `there` requests, `in_flight` of them ours.
  void OnReport(const ModelLoad& load, uint64_t there, uint32_t in_flight, Instant now);

  // In how many seconds one more request would be answered, with `in_flight` before it. `usual` is
  // what a request costs the pool's endpoints: for one that is new, or has been idle for so long
  // that what is known of it says little.
  double Expect(uint32_t in_flight, double usual, Instant now) const;

  // The earliest, in seconds, that one more request could be answered: for refusing what cannot be
  // answered in time. Nothing when too little is known, or nothing of late: then only a request
  // that is sent can tell.
  std::optional<double> Soonest(uint32_t in_flight, Instant now) const;

  // Seconds of work of one request; 0 while nothing is known.
  double seconds() const { return answers_ > 0 ? busy_ / answers_ : 0; }

  // Requests that others have there, as far as it is known.
  double Others(Instant now) const;

  static constexpr Duration kSaidFor = 10s;

 private:
  bool Said(Instant now) const { return said_each_ > 0 && now - said_at_ < Duration(kSaidFor); }
  double ExpectAsSaid(uint32_t in_flight, Instant now) const;
  void LearnPace(double gap);

  uint32_t working_ = 0;
  Instant mark_{};   // The last answer, or when it last began to be busy.
  double busy_ = 0;  // Seconds, and the answers in them; older ones count less and less.
  double answers_ = 0;
  double alone_ = 0;  // Seconds until the answer to a request that had it to itself.
  // For Soonest, which must not be misled by a first request that took long or by a stall: as
  // busy_ and answers_, without the first answers and without what is out of all proportion.
  uint64_t seen_ = 0;
  double pace_busy_ = 0;
  double pace_answers_ = 0;
  double quickest_ = 0;  // The least that one request has taken of late.
  // What it said last: seconds apart at full work, instances, and how many requests of others.
  double said_each_ = 0;
  double said_instances_ = 1;
  double said_others_ = 0;
  double usual_others_ = 0;
  Instant said_at_{};
};

}  // namespace tepal::lb
