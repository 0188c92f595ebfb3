// Answers of reviews, kept for a while; equal questions on their way are asked once. Clockless.
//
// Bounded: of too many answers the oldest go, and a question whose text is too long is not kept.

#pragma once

#include <cstddef>
#include <list>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/base/function.h"
#include "core/base/result.h"
#include "core/base/time.h"

namespace tepal::custom_metrics {

template <typename Answer>
class ReviewCache {
 public:
  struct Options {
    size_t answers_max = 4096;
    size_t question_bytes_max = 10'000;
  };
  struct Counts {
    uint64_t hits = 0, asked = 0;
  };
  using Done = Function<void(const Result<Answer>&)>;

  explicit ReviewCache(Options options) : options_(options) {}

  // Calls `done` now when the answer is known, else when it is. True: nobody has asked yet, and the
  // caller is to ask and to bring the answer to End.
  bool Begin(const std::string& question, Instant now, Done done) {
    const auto known = answers_.find(question);
    if (known != answers_.end() && now < known->second.until) {
      ++counts_.hits;
      const Result<Answer> answer = known->second.answer;
      done(answer);
      return false;
    }
    std::vector<Done>& waiting = waiting_[question];
    waiting.push_back(std::move(done));
    if (waiting.size() > 1) return false;
    ++counts_.asked;
    return true;
  }

  // Errors are not kept.
  void End(const std::string& question, const Result<Answer>& answer, Duration keep, Instant now) {
    const auto found = waiting_.find(question);
    std::vector<Done> waiting;
    if (found != waiting_.end()) {
      waiting = std::move(found->second);
      waiting_.erase(found);
    }
    if (answer.ok() && keep > Duration(0) && question.size() <= options_.question_bytes_max) {
      Keep(question, *answer, now + keep);
    }
    for (Done& done : waiting) done(answer);
  }

  size_t size() const { return answers_.size(); }
  const Counts& counts() const { return counts_; }

 private:
  struct Known {
    Answer answer;
    Instant until;
    std::list<std::string>::iterator place;
  };

  void Keep(const std::string& question, const Answer& answer, Instant until) {
    const auto known = answers_.find(question);
    if (known != answers_.end()) {
      order_.erase(known->second.place);
      answers_.erase(known);
    }
    while (!order_.empty() && answers_.size() >= options_.answers_max) {
      answers_.erase(order_.front());
      order_.pop_front();
    }
    order_.push_back(question);
    answers_.emplace(question, Known{answer, until, std::prev(order_.end())});
  }

  const Options options_;
  std::unordered_map<std::string, Known> answers_;
  std::list<std::string> order_;  // Oldest first.
  std::unordered_map<std::string, std::vector<Done>> waiting_;
  Counts counts_;
};

}  // namespace tepal::custom_metrics
