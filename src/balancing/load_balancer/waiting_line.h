// Requests that wait for an endpoint: first come, first served, with a place and a time limit each.
//
// A plain state machine. It knows requests by ticket only; who may go, and where, is decided by the
// caller as it walks along the line. A request that comes back after a failed try stands at the
// front, because it has waited before.

#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "balancing/load_balancer/endpoint.h"
#include "balancing/load_balancer/model_directory.h"
#include "core/base/time.h"

namespace tepal::lb {

// Names one request among all that are in progress; given by the owner. Never 0.
using Ticket = uint64_t;

class WaitingLine {
 public:
  struct Entry {
    Ticket ticket = 0;
    std::vector<EndpointId> tried;  // Endpoints to avoid until `avoid_until`.
    Instant avoid_until{};
    Instant since{};
    Instant deadline{};
    bool costs_token = false;  // It is a retry that holds a token of the budget.
    bool work = true;          // See Dispatcher::Asking.
    uint64_t sequence = 0;
    bool sequence_end = false;
    uint64_t key = 0;  // See Dispatcher::Asking.
    ModelNumber model = 0;
    bool by_deadline = false;  // `deadline` is the request's own, not that of the line.
  };

  explicit WaitingLine(uint32_t size_max) : size_max_(size_max) {}

  // False when the line is full. Requests that come back are let in all the same: they have been
  // admitted before, and there are no more of them than tries in progress.
  bool PushBack(Entry entry);
  void PushFront(Entry entry);

  std::optional<Entry> Remove(Ticket ticket);

  // The first entry whose time is up.
  std::optional<Entry> PopExpired(Instant now);

  // Walks along the line from the front. `visit` says of each whether it leaves the line now, stays
  // (the walk goes on), or stays and ends the walk.
  enum class Step { kLeave, kStay, kStop };
  template <typename Visit>
  void Walk(Visit visit) {
    for (auto it = line_.begin(); it != line_.end();) {
      const Step step = visit(static_cast<const Entry&>(*it));
      if (step == Step::kStop) return;
      it = step == Step::kLeave ? Erase(it) : std::next(it);
    }
  }

  size_t size() const { return line_.size(); }
  bool empty() const { return line_.empty(); }
  uint32_t size_max() const { return size_max_; }
  void set_size_max(uint32_t size_max) { size_max_ = size_max; }  // Who waits stays.

  // Of them, for the model.
  size_t size_of(ModelNumber model) const {
    return model < by_model_.size() ? by_model_[model] : 0;
  }

  // How long the one that has waited longest has waited.
  Duration OldestAge(Instant now) const;

  // The next time limit or end of an avoidance after `now`.
  std::optional<Instant> NextDeadline(Instant now) const;

 private:
  using Line = std::list<Entry>;
  void Index(Line::iterator entry);
  Line::iterator Erase(Line::iterator entry);

  uint32_t size_max_;
  Line line_;
  std::unordered_map<Ticket, Line::iterator> by_ticket_;
  std::set<std::pair<Instant, Ticket>> by_deadline_;
  std::set<std::pair<Instant, Ticket>> by_avoidance_;
  std::multiset<Instant> since_;
  std::vector<uint32_t> by_model_;  // How many, by number.
};

}  // namespace tepal::lb
