// Candidates against a model of one Lease: requests and answers are late or lost, candidates are
// killed and cut off, clocks drift. Never two leaders at once; while somebody can reach the
// server, before long there is one.

#include "network/kube/leader_election.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <vector>

#include "core/base/function.h"
#include "core/base/text.h"
#include "core/env/random.h"

namespace tepal::kube {
namespace {

class Scenario {
 public:
  explicit Scenario(uint64_t seed) : random_(seed) {
    for (int i = 0; i < 3; ++i) {
      Candidate candidate;
      candidate.name = Concat("c", i);
      // Up to 1 % fast or slow.
      candidate.rate = 0.99 + random_.Unit() * 0.02;
      candidates_.push_back(std::move(candidate));
      Restart(candidates_.back());
    }
  }

  void Go() {
    constexpr Instant kFaultsEnd{Duration(400s)};
    constexpr Instant kEnd{Duration(500s)};
    while (now_ < kEnd && !testing::Test::HasFailure()) {
      faults_ = now_ < kFaultsEnd;
      if (faults_) BreakSomething();
      for (Candidate& candidate : candidates_) Turn(candidate);
      RunDue();
      int leaders = 0;
      for (Candidate& candidate : candidates_)
        leaders += candidate.election->leading(Local(candidate));
      ASSERT_LE(leaders, 1) << "two leaders at " << ToSeconds(now_.time_since_epoch()) << " s";
      if (leaders == 1) led_ += kTick;
      if (leaders == 0 && now_ > kFaultsEnd + 40s) ++leaderless_;
      now_ += kTick;
    }
    EXPECT_EQ(leaderless_, 0) << "no leader though nothing was broken";
    EXPECT_GT(led_, Duration(60s));
    // An orderly hand-over needs no lease to run out.
    Resign();
  }

 private:
  static constexpr Duration kTick = 50ms;

  struct Candidate {
    std::string name;
    double rate = 1;
    std::unique_ptr<LeaderElection> election;
    int life = 0;  // Answers to an earlier life are not for this one.
    bool cut_off = false;
    bool stopped = false;  // SIGSTOP: it does nothing, but it may believe that it leads.
  };

  Instant Local(const Candidate& candidate) const {
    return Instant(Duration(static_cast<int64_t>(
        static_cast<double>(now_.time_since_epoch().count()) * candidate.rate)));
  }

  void Restart(Candidate& candidate) {
    ++candidate.life;
    LeaderElection::Options options;
    options.identity = Concat(candidate.name, "-", candidate.life);
    // As tight as clocks that differ by 2 % allow: a leader that counts wrongly shows.
    options.renew_deadline = 14500ms;
    options.retry_period = 500ms;
    candidate.election = std::make_unique<LeaderElection>(options);
  }

  void BreakSomething() {
    if (random_.Below(150) != 0) return;
    Candidate& candidate = candidates_[random_.Below(candidates_.size())];
    switch (random_.Below(3)) {
      case 0:
        return Restart(candidate);
      case 1:
        candidate.cut_off = !candidate.cut_off;
        return;
      default:
        // Steps down in order; its next life is a candidate again.
        candidate.election->Resign(Local(candidate));
    }
  }

  void At(Instant when, Function<void()> what) { due_.emplace(when, std::move(what)); }
  void RunDue() {
    while (!due_.empty() && due_.begin()->first <= now_) {
      auto next = due_.extract(due_.begin());
      next.mapped()();
    }
  }
  Instant Soon() {
    const bool slow = faults_ && random_.Below(2) == 0;
    return now_ + Duration(static_cast<int64_t>(random_.Below(slow ? 4'000'000'000 : 50'000'000)));
  }
  bool Lost(const Candidate& candidate) {
    return candidate.cut_off || (faults_ && random_.Below(10) == 0);
  }

  void Turn(Candidate& candidate) {
    if (!faults_) candidate.cut_off = false;
    if (candidate.election->resigned() && !resigning_) return Restart(candidate);
    const LeaderElection::Step step = candidate.election->NextStep(Local(candidate));
    if (step.kind == LeaderElection::Step::Kind::kNone) return;
    const int life = candidate.life;
    const auto alive = [&candidate, life] { return candidate.life == life; };
    if (Lost(candidate)) {  // The request is lost; a time limit says so later.
      return At(now_ + 5s, [this, &candidate, alive, step] {
        if (alive()) Fail(candidate, step);
      });
    }
    At(Soon(), [this, &candidate, alive, step] {
      const bool done = Apply(step);
      const std::optional<LeaseRecord> seen = lease_;
      const bool lost = Lost(candidate);
      At(lost ? now_ + 5s : Soon(), [this, &candidate, alive, step, done, seen, lost] {
        if (!alive()) return;
        if (lost || !done) return Fail(candidate, step);
        if (step.kind == LeaderElection::Step::Kind::kRead) {
          candidate.election->OnRead(seen, Local(candidate));
        } else {
          candidate.election->OnWritten(seen->resource_version, Local(candidate));
        }
      });
    });
  }

  // The server's side: optimistic concurrency.
  bool Apply(const LeaderElection::Step& step) {
    if (step.kind == LeaderElection::Step::Kind::kRead) return true;
    if (step.create == lease_.has_value()) return false;
    if (!step.create && step.record.resource_version != lease_->resource_version) return false;
    lease_ = step.record;
    lease_->resource_version = Concat(++version_);
    return true;
  }

  void Fail(Candidate& candidate, const LeaderElection::Step& step) {
    if (step.kind == LeaderElection::Step::Kind::kRead) {
      candidate.election->OnReadFailed(Local(candidate));
    } else {
      candidate.election->OnWriteFailed(Local(candidate));
    }
  }

  void Resign() {
    resigning_ = true;
    Candidate* leader = nullptr;
    for (Candidate& candidate : candidates_) {
      if (candidate.election->leading(Local(candidate))) leader = &candidate;
    }
    ASSERT_NE(leader, nullptr);
    leader->election->Resign(Local(*leader));
    EXPECT_FALSE(leader->election->leading(Local(*leader)));
    const Instant began = now_;
    bool other = false;
    while (now_ < began + 10s && !(other && leader->election->resigned())) {
      for (Candidate& candidate : candidates_) Turn(candidate);
      RunDue();
      for (Candidate& candidate : candidates_) {
        other = other || (&candidate != leader && candidate.election->leading(Local(candidate)));
      }
      now_ += kTick;
    }
    EXPECT_TRUE(other) << "nobody took over within 10 s of a resignation";
    EXPECT_TRUE(leader->election->resigned());
  }

  env::SeededRandom random_;
  Instant now_{Duration(1s)};
  std::vector<Candidate> candidates_;
  std::multimap<Instant, Function<void()>> due_;
  std::optional<LeaseRecord> lease_;
  uint64_t version_ = 0;
  bool faults_ = true;
  bool resigning_ = false;
  Duration led_{0};
  int leaderless_ = 0;
};

TEST(LeaderElectionSimulation, NeverTwoAndBeforeLongOne) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Scenario(seed).Go();
    if (HasFailure()) FAIL() << "seed " << seed;
  }
}

}  // namespace
}  // namespace tepal::kube
