#include "scaling/custom_metrics/query_runner.h"

#include "core/base/text.h"

namespace tepal::custom_metrics {

void QueryRunner::Run(const std::string& promql, Function<void(Answer)> done) {
  ++counters_.asked;
  DropOld();
  const auto found = entries_.find(promql);
  if (found != entries_.end()) {
    if (found->second.answer != nullptr) return done(found->second.answer);
    found->second.waiting.push_back(std::move(done));
    return;
  }
  if (queue_.size() >= options_.waiting_max) {
    ++counters_.refused;
    return done(std::make_shared<const Result<QueryAnswer>>(Unavailable(
        Concat("got more than ", options_.waiting_max, " queries that wait for Prometheus"))));
  }
  entries_[promql].waiting.push_back(std::move(done));
  queue_.emplace_back(loop_.Now(), promql);
  SendNext();
}

void QueryRunner::SendNext() {
  while (!queue_.empty() && in_flight_ < options_.in_flight_max) {
    const auto [since, promql] = std::move(queue_.front());
    queue_.pop_front();
    if (loop_.Now() - since > options_.wait_max) {
      ++counters_.refused;
      if (!Answered(promql, DeadlineExceeded("Prometheus is busy: waited too long for it"))) return;
      continue;
    }
    ++in_flight_;
    ++counters_.sent;
    client_.Query(promql, [this, alive = std::weak_ptr<int>(alive_),
                           promql = promql](Result<QueryAnswer> answer) {
      if (!alive.expired()) OnAnswer(promql, std::move(answer));
    });
  }
}

void QueryRunner::OnAnswer(const std::string& promql, Result<QueryAnswer> answer) {
  --in_flight_;
  if (!answer.ok()) ++counters_.failed;
  if (Answered(promql, std::move(answer))) SendNext();
}

bool QueryRunner::Answered(const std::string& promql, Result<QueryAnswer> answer) {
  Entry& entry = entries_[promql];
  entry.answer = std::make_shared<const Result<QueryAnswer>>(std::move(answer));
  kept_.emplace_back(loop_.Now(), promql);
  const Answer shared = entry.answer;
  std::vector<Function<void(Answer)>> waiting = std::move(entry.waiting);
  entry.waiting.clear();
  const std::weak_ptr<int> alive = alive_;
  for (Function<void(Answer)>& done : waiting) {
    done(shared);
    if (alive.expired()) return false;
  }
  return true;
}

void QueryRunner::DropOld() {
  while (!kept_.empty() && loop_.Now() - kept_.front().first >= options_.keep) {
    entries_.erase(kept_.front().second);
    kept_.pop_front();
  }
}

}  // namespace tepal::custom_metrics
