#include "balancing/load_balancer/waiting_line.h"

#include <algorithm>
#include <iterator>
#include <limits>

#include "core/base/check.h"

namespace tepal::lb {

bool WaitingLine::PushBack(Entry entry) {
  if (line_.size() >= size_max_) return false;
  Index(line_.insert(line_.end(), std::move(entry)));
  return true;
}

void WaitingLine::PushFront(Entry entry) { Index(line_.insert(line_.begin(), std::move(entry))); }

void WaitingLine::Index(Line::iterator entry) {
  TEPAL_CHECK(by_ticket_.emplace(entry->ticket, entry).second);
  by_deadline_.emplace(entry->deadline, entry->ticket);
  if (!entry->tried.empty()) by_avoidance_.emplace(entry->avoid_until, entry->ticket);
  since_.insert(entry->since);
  if (by_model_.size() <= entry->model) by_model_.resize(entry->model + size_t{1});
  ++by_model_[entry->model];
}

WaitingLine::Line::iterator WaitingLine::Erase(Line::iterator entry) {
  by_ticket_.erase(entry->ticket);
  by_deadline_.erase({entry->deadline, entry->ticket});
  by_avoidance_.erase({entry->avoid_until, entry->ticket});
  since_.erase(since_.find(entry->since));
  --by_model_[entry->model];
  return line_.erase(entry);
}

std::optional<WaitingLine::Entry> WaitingLine::Remove(Ticket ticket) {
  const auto found = by_ticket_.find(ticket);
  if (found == by_ticket_.end()) return std::nullopt;
  Entry entry = *found->second;
  Erase(found->second);
  return entry;
}

std::optional<WaitingLine::Entry> WaitingLine::PopExpired(Instant now) {
  if (by_deadline_.empty() || by_deadline_.begin()->first > now) return std::nullopt;
  return Remove(by_deadline_.begin()->second);
}

Duration WaitingLine::OldestAge(Instant now) const {
  return since_.empty() ? Duration(0) : std::max<Duration>(Duration(0), now - *since_.begin());
}

std::optional<Instant> WaitingLine::NextDeadline(Instant now) const {
  if (line_.empty()) return std::nullopt;
  Instant next = by_deadline_.begin()->first;
  const auto avoidance = by_avoidance_.upper_bound({now, std::numeric_limits<Ticket>::max()});
  if (avoidance != by_avoidance_.end()) next = std::min(next, avoidance->first);
  return next;
}

}  // namespace tepal::lb
