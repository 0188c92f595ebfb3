#include "balancing/load_balancer/sequence_table.h"

namespace tepal::lb {

std::optional<EndpointId> SequenceTable::Find(uint64_t sequence, Instant now) {
  ForgetOld(now);
  const auto found = by_name_.find(sequence);
  if (found == by_name_.end()) return std::nullopt;
  found->second->last = now;
  entries_.splice(entries_.end(), entries_, found->second);
  return found->second->endpoint;
}

void SequenceTable::Bind(uint64_t sequence, EndpointId endpoint, Instant now) {
  Forget(sequence);
  if (by_name_.size() >= kSequencesMax) Forget(entries_.front().sequence);
  entries_.push_back({sequence, endpoint, now});
  by_name_[sequence] = std::prev(entries_.end());
}

void SequenceTable::Forget(uint64_t sequence) {
  const auto found = by_name_.find(sequence);
  if (found == by_name_.end()) return;
  entries_.erase(found->second);
  by_name_.erase(found);
}

void SequenceTable::ForgetOld(Instant now) {
  while (!entries_.empty() && entries_.front().last + kIdleMax < now) {
    Forget(entries_.front().sequence);
  }
}

}  // namespace tepal::lb
