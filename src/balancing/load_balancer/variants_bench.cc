// Ways of choosing that we do not have, beside the one we have (least_wait with load reports), on
// the same simulated arrivals: Prequal's hot-cold rule over reused probes, filling open batches
// below the knee, and hedging within a budget with the loser cancelled. docs/decisions/0004 says
// what came out.
//
// Seven slots of speeds 3:2:1:1:1:1:1, three balancers that share the arrivals; each knows what it
// has sent and what it is told.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <deque>
#include <functional>
#include <memory>
#include <queue>
#include <vector>

#include "balancing/load_balancer/choice.h"

namespace tepal::lb {
namespace {

constexpr size_t kBalancers = 3;
const std::vector<double> kSpeeds = {3, 2, 1, 1, 1, 1, 1};

enum class Way { kLeastWait, kPrequal, kFill, kHedge };

struct World {
  Way way = Way::kLeastWait;
  double load = 0.7;
  size_t batch_max = 1;
  double fixed = 0.02, per_row = 0;  // Seconds of a batch on a slot of speed 1.
  double stalls = 0;                 // Share of batches that take 10 times as long.
  int requests = 200'000;
};

struct Outcome {
  double p50 = 0, p99 = 0, p999 = 0, batch = 0, extra = 0;
};

struct Job {
  double since = 0;
  size_t balancer = 0;
  bool answered = false;
};
struct Sent {
  std::shared_ptr<Job> job;
  bool alone = false, cancelled = false;
  double at = 0;
};
struct Slot {
  std::deque<std::shared_ptr<Sent>> queue;
  std::vector<std::shared_ptr<Sent>> running;
  double latency = 0.02, each = 0;
  size_t in_flight() const { return queue.size() + running.size(); }
};
struct Probe {
  size_t slot;
  double rif, latency, at;
  int uses;
};
struct Balancer {
  std::vector<Candidate> seen = std::vector<Candidate>(kSpeeds.size());
  std::deque<Probe> probes;
  std::deque<double> rifs;
  double hedge_tokens = 5;
};

class Sim {
 public:
  explicit Sim(const World& world) : world_(world), slots_(kSpeeds.size()), balancers_(kBalancers) {
    // The most it can do: full batches everywhere.
    for (const double speed : kSpeeds) {
      capacity_ += speed * static_cast<double>(world.batch_max) /
                   (world.fixed + world.per_row * static_cast<double>(world.batch_max));
    }
    if (world.stalls > 0) capacity_ /= 1 + 9 * world.stalls;
  }

  Outcome Run() {
    At(Gap(), [this] { Arrive(); });
    while (!events_.empty()) {
      const Event event = events_.top();
      events_.pop();
      now_ = event.at;
      event.run();
    }
    taken_.erase(taken_.begin(), taken_.begin() + static_cast<long>(taken_.size() / 10));
    std::sort(taken_.begin(), taken_.end());
    const auto quantile = [&](double q) {
      return 1e3 * taken_[static_cast<size_t>(q * static_cast<double>(taken_.size() - 1))];
    };
    return {quantile(0.5), quantile(0.99), quantile(0.999), rows_ / batches_,
            rows_ / world_.requests - 1};
  }

 private:
  struct Event {
    double at;
    uint64_t order;
    std::function<void()> run;
    bool operator<(const Event& other) const {
      return at != other.at ? at > other.at : order > other.order;
    }
  };
  void At(double after, std::function<void()> run) {
    events_.push({now_ + after, ++order_, std::move(run)});
  }
  double Gap() { return -std::log(1 - random_.Unit()) / (world_.load * capacity_); }
  Instant Time() const { return Instant(1s) + FromSeconds(now_); }

  void Arrive() {
    if (++arrived_ < world_.requests) At(Gap(), [this] { Arrive(); });
    auto job = std::make_shared<Job>();
    job->since = now_;
    job->balancer = random_.Below(kBalancers);
    Balancer& balancer = balancers_[job->balancer];
    if (world_.way == Way::kPrequal) SendProbes(job->balancer);
    const size_t slot = ChooseSlot(balancer);
    const auto first = Send(job, slot);
    if (world_.way != Way::kHedge) return;
    balancer.hedge_tokens = std::min(50.0, balancer.hedge_tokens + 0.05);
    At(HedgeAfter(), [this, job, slot, first] { Hedge(job, slot, first); });
  }

  // The 95th percentile of late.
  double HedgeAfter() {
    if (recent_.size() < 200) return 1e9;
    if (hedge_age_++ % 200 == 0) {
      std::vector<double> sorted(recent_.begin(), recent_.end());
      std::sort(sorted.begin(), sorted.end());
      hedge_after_ = sorted[sorted.size() * 95 / 100];
    }
    return hedge_after_;
  }

  void Hedge(const std::shared_ptr<Job>& job, size_t slot, const std::shared_ptr<Sent>& first) {
    Balancer& balancer = balancers_[job->balancer];
    if (job->answered || balancer.hedge_tokens < 1) return;
    balancer.hedge_tokens -= 1;
    // Elsewhere: as if that slot were full.
    const Candidate kept = balancer.seen[slot];
    balancer.seen[slot].in_flight += 1'000'000;
    const size_t other = ChooseSlot(balancer);
    balancer.seen[slot] = kept;
    const auto second = Send(job, other);
    pairs_.push_back({first, slot, second, other});
  }

  size_t ChooseSlot(Balancer& balancer) {
    if (world_.way == Way::kPrequal) return ChooseByProbes(balancer);
    if (world_.way == Way::kFill) {
      if (const auto open = ChooseOpenBatch(balancer)) return *open;
    }
    return Choose(ChoicePolicy::kLeastWait, balancer.seen, random_,
                  {.now = Time(), .usual = 0.014});
  }

  // Below the knee: the fullest batch that is still collected, where that costs little wait.
  std::optional<size_t> ChooseOpenBatch(Balancer& balancer) {
    std::optional<size_t> best;
    size_t fullest = 0;
    double least = 1e9;
    std::vector<double> waits;
    for (const Candidate& seen : balancer.seen) {
      waits.push_back(seen.service.Expect(seen.in_flight, 0.014, Time()));
      least = std::min(least, waits.back());
    }
    for (size_t i = 0; i < slots_.size(); ++i) {
      const size_t queued = slots_[i].queue.size();  // As the server would say.
      if (queued == 0 || queued >= world_.batch_max || waits[i] > 1.5 * least) continue;
      if (queued > fullest) fullest = queued, best = i;
    }
    return best;
  }

  void SendProbes(size_t index) {
    for (int i = 0; i < 3; ++i) {
      const size_t slot = random_.Below(slots_.size());
      At(0.0005, [this, index, slot] {
        Balancer& balancer = balancers_[index];
        const auto rif = static_cast<double>(slots_[slot].in_flight());
        // The latency to expect at this many requests in flight.
        const double latency = std::max(slots_[slot].latency, slots_[slot].each * (rif + 1));
        balancer.probes.push_back({slot, rif, latency, now_, 2});
        if (balancer.probes.size() > 16) balancer.probes.pop_front();
        balancer.rifs.push_back(rif);
        if (balancer.rifs.size() > 128) balancer.rifs.pop_front();
      });
    }
  }

  size_t ChooseByProbes(Balancer& balancer) {
    while (!balancer.probes.empty() && now_ - balancer.probes.front().at > 1) {
      balancer.probes.pop_front();
    }
    if (balancer.probes.size() < 2) return random_.Below(slots_.size());
    std::vector<double> rifs(balancer.rifs.begin(), balancer.rifs.end());
    const auto rank = static_cast<long>(0.84 * static_cast<double>(rifs.size() - 1));
    std::nth_element(rifs.begin(), rifs.begin() + rank, rifs.end());
    const double hot = rifs[static_cast<size_t>(rank)];
    const auto better = [hot](const Probe& a, const Probe& b) {
      const bool hot_a = a.rif > hot, hot_b = b.rif > hot;
      if (hot_a != hot_b) return hot_b;
      return hot_a ? a.rif < b.rif : a.latency < b.latency;
    };
    const auto best = std::min_element(balancer.probes.begin(), balancer.probes.end(), better);
    const size_t slot = best->slot;
    best->rif += 1;
    best->latency += slots_[slot].each;
    if (--best->uses == 0) balancer.probes.erase(best);
    return slot;
  }

  std::shared_ptr<Sent> Send(const std::shared_ptr<Job>& job, size_t index) {
    Candidate& seen = balancers_[job->balancer].seen[index];
    auto sent = std::make_shared<Sent>();
    sent->job = job;
    sent->at = now_;
    sent->alone = seen.service.OnBegin(Time());
    ++seen.in_flight;
    seen.turns += 1;
    slots_[index].queue.push_back(sent);
    if (slots_[index].running.empty()) Start(index);
    return sent;
  }

  void Start(size_t index) {
    Slot& slot = slots_[index];
    while (!slot.queue.empty() && slot.running.size() < world_.batch_max) {
      slot.running.push_back(slot.queue.front());
      slot.queue.pop_front();
    }
    if (slot.running.empty()) return;
    const auto rows = static_cast<double>(slot.running.size());
    double time = (world_.fixed + world_.per_row * rows) * (0.9 + 0.2 * random_.Unit());
    if (random_.Unit() < world_.stalls) time *= 10;
    time /= kSpeeds[index];
    rows_ += rows;
    ++batches_;
    slot.each += (time / rows - slot.each) * (slot.each > 0 ? 1.0 / 16 : 1);
    At(time, [this, index] { End(index); });
  }

  void End(size_t index) {
    Slot& slot = slots_[index];
    const auto done = std::exchange(slot.running, {});
    for (const auto& sent : done) {
      Job& job = *sent->job;
      Candidate& seen = balancers_[job.balancer].seen[index];
      --seen.in_flight;
      seen.service.OnEnd(sent->alone, FromSeconds(now_ - sent->at), true, Time());
      ModelLoad load;
      load.each = FromSeconds(slot.each);
      load.in_flight_all = slot.queue.size();
      seen.service.OnReport(load, load.in_flight_all, seen.in_flight, Time());
      slot.latency += (now_ - sent->at - slot.latency) / 16;
      if (std::exchange(job.answered, true)) continue;
      taken_.push_back(now_ - job.since);
      recent_.push_back(now_ - job.since);
      if (recent_.size() > 2000) recent_.pop_front();
      CancelLosers(sent);
    }
    Start(index);
  }

  struct Pair {
    std::shared_ptr<Sent> first;
    size_t first_at;
    std::shared_ptr<Sent> second;
    size_t second_at;
  };
  // One that is queued leaves its queue; one that runs, runs.
  void CancelLosers(const std::shared_ptr<Sent>& winner) {
    for (size_t i = 0; i < pairs_.size(); ++i) {
      const Pair pair = pairs_[i];
      if (pair.first != winner && pair.second != winner) continue;
      const bool first_won = pair.first == winner;
      const auto& loser = first_won ? pair.second : pair.first;
      const size_t at = first_won ? pair.second_at : pair.first_at;
      auto& queue = slots_[at].queue;
      const auto found = std::find(queue.begin(), queue.end(), loser);
      if (found != queue.end()) {
        queue.erase(found);
        Candidate& seen = balancers_[loser->job->balancer].seen[at];
        --seen.in_flight;
        seen.service.OnEnd(loser->alone, 0ns, false, Time());
      }
      pairs_[i] = pairs_.back();
      pairs_.pop_back();
      return;
    }
  }

  const World world_;
  env::SeededRandom random_{1};
  double capacity_ = 0;
  std::priority_queue<Event> events_;
  uint64_t order_ = 0;
  double now_ = 0;
  int arrived_ = 0;
  std::vector<Slot> slots_;
  std::vector<Balancer> balancers_;
  std::vector<Pair> pairs_;
  std::vector<double> taken_;
  std::deque<double> recent_;
  double hedge_after_ = 1e9;
  int hedge_age_ = 0;
  double rows_ = 0, batches_ = 0;
};

void Table(const char* what, World world, const std::vector<std::pair<const char*, Way>>& ways) {
  std::printf("\n%s\n%-22s %6s %8s %8s %8s %10s %9s\n", what, "", "load", "p50 ms", "p99 ms",
              "p99.9 ms", "rows/batch", "sent more");
  for (const double load : {0.5, 0.7, 0.85}) {
    for (const auto& [name, way] : ways) {
      world.load = load;
      world.way = way;
      const Outcome outcome = Sim(world).Run();
      std::printf("%-22s %5.0f%% %8.1f %8.1f %8.1f %10.2f %8.1f%%\n", name, load * 100, outcome.p50,
                  outcome.p99, outcome.p999, outcome.batch, outcome.extra * 100);
    }
  }
}

}  // namespace
}  // namespace tepal::lb

int main() {
  using namespace tepal::lb;
  Table("Single requests of 20 ms / speed", {},
        {{"least_wait", Way::kLeastWait}, {"Prequal", Way::kPrequal}, {"hedged", Way::kHedge}});
  Table("The same; one of 200 takes 10 times as long", {.stalls = 0.005},
        {{"least_wait", Way::kLeastWait}, {"Prequal", Way::kPrequal}, {"hedged", Way::kHedge}});
  Table("Batches of up to 8, (10 ms + 2.5 ms a row) / speed",
        {.batch_max = 8, .fixed = 0.01, .per_row = 0.0025},
        {{"least_wait", Way::kLeastWait},
         {"fill open batches", Way::kFill},
         {"Prequal", Way::kPrequal}});
}
