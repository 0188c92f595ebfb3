// A second try beside one that takes long (hedging.h).

#include "balancing/load_balancer/dispatcher.h"

namespace tepal::lb {

// To the endpoint that would answer soonest, whatever the policy: the request is late already.
std::optional<Dispatcher::Grant> Dispatcher::Hedge(const Grant& first,
                                                   const std::vector<EndpointId>& tried,
                                                   Instant now) {
  const Where where{tried, first.key, first.model};
  Record* record = with_room_ > 0 ? PickAmong(where, ChoicePolicy::kLeastWait, now) : nullptr;
  if (record == nullptr) return std::nullopt;
  const Hedging::Moment moment{
      .panic = panic_,
      .others_wait = !line_.empty(),
      .expected = record->load.service.Expect(record->load.in_flight, usual_seconds_, now),
      .usual = model_times_.Usual(first.model, now)};
  if (!hedging_.TryBegin(moment)) return std::nullopt;
  return Take(*record,
              {.ticket = first.ticket,
               .deadline = first.deadline,
               .work = first.work,
               .key = first.key,
               .model = first.model,
               .hedge = true},
              now);
}

}  // namespace tepal::lb
