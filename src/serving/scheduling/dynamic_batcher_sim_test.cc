// Drives a DynamicBatcher with random arrivals, cancellations, timeouts and busy instances in
// simulated time, beside an oracle that knows only the rules, written down as plainly as possible.
// A failure prints the seed; kFirstSeed repeats one.

#include <gtest/gtest.h>

#include <algorithm>
#include <tuple>
#include <vector>

#include "core/env/random.h"
#include "serving/scheduling/dynamic_batcher.h"

namespace tepal {
namespace {

constexpr uint64_t kFirstSeed = 1;
constexpr uint64_t kSeeds = 800;
constexpr int kSteps = 300;

// What the oracle remembers of a queued request.
struct Known {
  const InferenceRequest* request = nullptr;
  DynamicBatcher::Ticket ticket = 0;
  int64_t rows = 0, width = 0;
  uint64_t level = 0;
  Instant queued{};
  Instant timeout = Instant::max();
  Instant deadline = Instant::max();
  bool delayed = false;
  uint64_t order = 0;  // Of arrival.
};

class Simulation {
 public:
  explicit Simulation(uint64_t seed)
      : random_(seed), options_(RandomOptions()), batcher_(options_) {}

  void Run() {
    for (int step = 0; step < kSteps && !::testing::Test::HasFailure(); ++step) {
      switch (random_.Below(8)) {
        case 0:
          CancelOne();
          break;
        case 1:
          busy_ = !busy_;
          break;
        case 2:
          JumpToDeadline();
          break;
        default:
          now_ += std::chrono::microseconds(random_.Below(60));
          Settle();
          Arrive();
      }
      Settle();
    }
    busy_ = false;
    for (int turn = 0; turn < 4 * kSteps && !known_.empty(); ++turn) {
      Settle();
      JumpToDeadline();
    }
    EXPECT_TRUE(known_.empty()) << known_.size() << " requests were never answered";
    EXPECT_EQ(batcher_.size(), known_.size());
  }

  int64_t served() const { return served_; }
  int64_t expired() const { return expired_; }

 private:
  int64_t Some(uint64_t bound) { return static_cast<int64_t>(random_.Below(bound)); }

  BatcherOptions RandomOptions() {
    BatcherOptions options;
    options.batches = true;
    options.batch_rows_max = 1 + Some(12);
    options.shares_batches = random_.Below(5) != 0;
    options.queue_delay_max = std::chrono::microseconds(random_.Below(3) * random_.Below(200));
    for (uint64_t n = random_.Below(3); n > 0; --n) {
      options.preferred_batch_rows.push_back(1 +
                                             Some(static_cast<uint64_t>(options.batch_rows_max)));
    }
    options.priority_levels = random_.Below(2) * random_.Below(4);
    if (options.priority_levels != 0) {
      options.priority_level_default = 1 + random_.Below(options.priority_levels);
    }
    options.queue_policy_default = RandomPolicy();
    if (options.priority_levels != 0) options.queue_policies[1] = RandomPolicy();
    if (random_.Below(6) == 0) options.ragged_inputs = {"INPUT0"};
    return options;
  }

  QueuePolicy RandomPolicy() {
    QueuePolicy policy;
    policy.timeout_action = random_.Below(2) == 0 ? QueuePolicy::TimeoutAction::kReject
                                                  : QueuePolicy::TimeoutAction::kDelay;
    policy.default_timeout_us = random_.Below(2) * random_.Below(400);
    policy.allow_timeout_override = random_.Below(2) == 0;
    policy.max_queue_size = static_cast<uint32_t>(random_.Below(2) * (1 + random_.Below(10)));
    return policy;
  }

  const QueuePolicy& PolicyOf(uint64_t level) const {
    const auto found = options_.queue_policies.find(level);
    return found == options_.queue_policies.end() ? options_.queue_policy_default : found->second;
  }

  void Arrive() {
    auto request = std::make_unique<InferenceRequest>();
    Known known;
    known.request = request.get();
    known.rows = request->batch_rows =
        1 + Some(static_cast<uint64_t>(std::min<int64_t>(options_.batch_rows_max, 4)));
    known.width = 16 + (random_.Below(5) == 0 ? 16 : 0);
    InputTensor& input = request->inputs.emplace_back();
    input.name = "INPUT0";
    input.type = DataType::kFp32;
    input.shape = {known.rows, known.width};
    request->priority = random_.Below(5);
    const uint64_t levels = options_.priority_levels;
    known.level = levels == 0 ? 0
                  : request->priority >= 1 && request->priority <= levels
                      ? request->priority
                      : options_.priority_level_default;
    const QueuePolicy& policy = PolicyOf(known.level);
    uint64_t wait_us = policy.default_timeout_us;
    request->timeout_us = random_.Below(2) * random_.Below(300);
    if (policy.allow_timeout_override && request->timeout_us != 0) {
      wait_us = wait_us == 0 ? request->timeout_us : std::min(wait_us, request->timeout_us);
    }
    if (wait_us != 0) known.timeout = now_ + std::chrono::microseconds(wait_us);
    if (random_.Below(8) == 0) {
      known.deadline = now_ + std::chrono::microseconds(1 + random_.Below(300));
    }
    request->deadline = known.deadline;
    known.queued = now_;
    known.order = ++arrivals_;

    const auto waiting = std::count_if(known_.begin(), known_.end(),
                                       [&](const Known& k) { return k.level == known.level; });
    const bool full = policy.max_queue_size != 0 && waiting >= policy.max_queue_size;
    const auto ticket = batcher_.Enqueue(std::move(request), now_);
    EXPECT_EQ(ticket.ok(), !full) << "refuses when full, and only then";
    EXPECT_EQ(ticket.ok(), request == nullptr) << "the caller keeps what was refused";
    if (!ticket.ok()) return;
    known.ticket = *ticket;
    known_.push_back(known);
  }

  void CancelOne() {
    if (!gone_.empty()) {
      EXPECT_EQ(batcher_.Cancel(gone_[random_.Below(gone_.size())]), nullptr) << "a stale ticket";
    }
    if (known_.empty()) return;
    const auto chosen = known_.begin() + Some(known_.size());
    const auto request = batcher_.Cancel(chosen->ticket);
    EXPECT_EQ(request.get(), chosen->request);
    EXPECT_EQ(batcher_.Cancel(chosen->ticket), nullptr);
    known_.erase(chosen);
  }

  void JumpToDeadline() {
    const auto next = busy_ ? batcher_.NextExpiry() : batcher_.NextDeadline();
    if (next) now_ = std::max(now_, *next);
  }

  // What the owner does after every event; afterwards nothing may be left to do at this instant.
  void Settle() {
    ExpireKnown();
    TakeExpired();
    if (busy_) return;
    while (!::testing::Test::HasFailure()) {
      Batch batch = batcher_.PopDue(now_);
      if (batch.empty()) break;
      CheckBatch(batch);
    }
    CheckNothingIsDue();
  }

  // The timeout rule: by REJECT a request must leave, by DELAY it goes behind its level.
  void ExpireKnown() {
    for (Known& known : known_) {
      if (known.timeout <= now_ && known.deadline > now_ &&
          PolicyOf(known.level).timeout_action == QueuePolicy::TimeoutAction::kDelay) {
        known.delayed = true;
      }
    }
  }

  bool MustLeave(const Known& known) const {
    return known.deadline <= now_ || (known.timeout <= now_ && !known.delayed);
  }

  void TakeExpired() {
    for (const DynamicBatcher::Refused& refused : batcher_.TakeExpired(now_)) {
      const auto found = Find(refused.request.get());
      ASSERT_NE(found, known_.end()) << "answered twice";
      EXPECT_TRUE(MustLeave(*found)) << "refused before its time";
      EXPECT_EQ(refused.status.code(),
                found->deadline <= now_ ? StatusCode::kDeadlineExceeded : StatusCode::kUnavailable);
      known_.erase(found);
      ++expired_;
    }
    for (const Known& known : known_) EXPECT_FALSE(MustLeave(known)) << "waits past its time";
  }

  std::vector<Known>::iterator Find(const InferenceRequest* request) {
    return std::find_if(known_.begin(), known_.end(),
                        [&](const Known& known) { return known.request == request; });
  }

  // The order of leaving, by the rule.
  std::vector<Known> InOrder() const {
    std::vector<Known> order = known_;
    std::sort(order.begin(), order.end(), [](const Known& a, const Known& b) {
      return std::tuple(a.level, a.delayed, a.delayed ? a.timeout : Instant(), a.order) <
             std::tuple(b.level, b.delayed, b.delayed ? b.timeout : Instant(), b.order);
    });
    return order;
  }

  // How many of `order` could go together at most, and whether more of them wait behind.
  struct Longest {
    size_t count = 0;
    int64_t rows = 0;
    bool closed = false;
    Instant oldest = Instant::max();
    std::vector<int64_t> sums;
  };
  Longest LongestOf(const std::vector<Known>& order) const {
    Longest longest;
    for (const Known& known : order) {
      const bool joins =
          longest.count == 0 ||
          (options_.shares_batches && longest.rows + known.rows <= options_.batch_rows_max &&
           (known.width == order[0].width || !options_.ragged_inputs.empty()));
      if (!joins) {
        longest.closed = true;
        break;
      }
      ++longest.count;
      longest.rows += known.rows;
      longest.oldest = std::min(longest.oldest, known.queued);
      longest.sums.push_back(longest.rows);
    }
    return longest;
  }

  bool IsPreferred(int64_t rows) const {
    const auto& preferred = options_.preferred_batch_rows;
    return std::find(preferred.begin(), preferred.end(), rows) != preferred.end();
  }
  int64_t LargestPreferred() const {
    const auto& preferred = options_.preferred_batch_rows;
    return preferred.empty() ? options_.batch_rows_max
                             : *std::max_element(preferred.begin(), preferred.end());
  }

  void CheckBatch(const Batch& batch) {
    const std::vector<Known> order = InOrder();
    const Longest longest = LongestOf(order);
    ASSERT_LE(batch.size(), longest.count) << "too large, or shapes mixed";
    int64_t rows = 0;
    for (size_t i = 0; i < batch.size(); ++i) {
      EXPECT_EQ(batch[i].get(), order[i].request) << "out of order, place " << i;
      rows += order[i].rows;
    }
    EXPECT_LE(rows, options_.batch_rows_max);

    const Duration delay = options_.queue_delay_max;
    const bool waited = delay > 0ns && now_ - longest.oldest >= delay;
    if (batch.size() < longest.count) {
      EXPECT_FALSE(waited) << "left some behind although the delay has passed";
      const bool next_is_too_much = longest.sums[batch.size()] > LargestPreferred();
      EXPECT_TRUE(IsPreferred(rows) || next_is_too_much) << "left some behind for no reason";
    } else {
      EXPECT_TRUE(waited || delay == 0ns || !options_.shares_batches || longest.closed ||
                  IsPreferred(rows) || rows >= LargestPreferred())
          << "went before it was due";
    }
    for (const auto& request : batch) {
      const auto found = Find(request.get());
      ASSERT_NE(found, known_.end()) << "answered twice";
      gone_.push_back(found->ticket);
      known_.erase(found);
      ++served_;
    }
  }

  void CheckNothingIsDue() {
    EXPECT_EQ(batcher_.size(), known_.size()) << "a request was lost";
    const std::vector<Known> order = InOrder();
    if (order.empty()) {
      EXPECT_FALSE(batcher_.NextDeadline().has_value());
      return;
    }
    const Longest longest = LongestOf(order);
    EXPECT_GT(options_.queue_delay_max, 0ns) << "waits although there is no delay";
    EXPECT_TRUE(options_.shares_batches) << "waits for company that may not join";
    EXPECT_FALSE(longest.closed) << "waits although nothing can join";
    EXPECT_LT(longest.rows, LargestPreferred()) << "a full batch waits";
    for (const int64_t sum : longest.sums)
      EXPECT_FALSE(IsPreferred(sum)) << "a preferred size waits";
    EXPECT_LT(now_ - longest.oldest, options_.queue_delay_max) << "late";

    Instant due = longest.oldest + options_.queue_delay_max;
    for (const Known& known : known_) {
      due = std::min(due, known.deadline);
      if (!known.delayed) due = std::min(due, known.timeout);
    }
    EXPECT_EQ(batcher_.NextDeadline(), due) << "would be asked too late or too early";
  }

  env::SeededRandom random_;
  const BatcherOptions options_;
  DynamicBatcher batcher_;
  std::vector<Known> known_;
  std::vector<DynamicBatcher::Ticket> gone_;
  Instant now_{std::chrono::seconds(1)};
  bool busy_ = false;
  uint64_t arrivals_ = 0;
  int64_t served_ = 0, expired_ = 0;
};

TEST(DynamicBatcherSimTest, KeepsItsRulesUnderRandomLoad) {
  int64_t served = 0, expired = 0;
  for (uint64_t seed = kFirstSeed; seed < kFirstSeed + kSeeds; ++seed) {
    SCOPED_TRACE(::testing::Message() << "seed " << seed);
    Simulation simulation(seed);
    simulation.Run();
    if (HasFailure()) return;
    served += simulation.served();
    expired += simulation.expired();
  }
  // The load is worth simulating only while it meets both ends.
  EXPECT_GT(served, static_cast<int64_t>(100 * kSeeds));
  EXPECT_GT(expired, static_cast<int64_t>(10 * kSeeds));
}

}  // namespace
}  // namespace tepal
