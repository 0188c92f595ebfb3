// Ways of choosing that we do not have, beside those we have, on the same simulated arrivals:
// Prequal's hot-cold rule over reused probes, and filling open batches below the knee, beside the
// dispatcher's least_wait with load reports, alone and with hedging. docs/decisions/0004 says what
// came out.
//
// Seven slots of speeds 3:2:1:1:1:1:1, three balancers that share the arrivals; each knows what it
// has sent and what it is told. Of two tries the one that lost leaves its queue; one that runs,
// runs, and its balancer has forgotten it.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <deque>
#include <functional>
#include <memory>
#include <queue>
#include <vector>

#include "balancing/load_balancer/choice.h"
#include "balancing/load_balancer/dispatcher.h"

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

struct Sent;
struct Job {
  double since = 0;
  size_t balancer = 0;
  bool answered = false;
  std::vector<std::shared_ptr<Sent>> tries;
};
struct Sent {
  std::shared_ptr<Job> job;
  size_t slot = 0;
  bool alone = false;       // For ways that choose by themselves;
  Dispatcher::Grant grant;  // for a dispatcher.
  bool left = false;        // The balancer waits for it no more.
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
  std::unique_ptr<Dispatcher> dispatcher;  // Or it chooses by itself:
  std::vector<Candidate> seen = std::vector<Candidate>(kSpeeds.size());
  std::deque<Probe> probes;
  std::deque<double> rifs;
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
    if (world.way == Way::kLeastWait || world.way == Way::kHedge) MakeDispatchers();
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
  void MakeDispatchers() {
    Dispatcher::Options options;
    options.policy = ChoicePolicy::kLeastWait;
    options.health.enabled = false;
    if (world_.way == Way::kHedge) options.hedging.quantile = 0.95;
    for (Balancer& balancer : balancers_) {
      balancer.dispatcher = std::make_unique<Dispatcher>(options, random_);
      for (size_t i = 0; i < slots_.size(); ++i) (void)balancer.dispatcher->Add({}, Time());
    }
  }
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
    if (balancer.dispatcher == nullptr) {
      if (world_.way == Way::kPrequal) SendProbes(job->balancer);
      Send(job, ChooseSlot(balancer), {});
      return;
    }
    const auto ticket = static_cast<Ticket>(arrived_);
    const auto grant = balancer.dispatcher->Admit({.ticket = ticket, .model = "m"}, Time()).grant;
    Send(job, grant.endpoint - 1, grant);
    if (grant.hedge_after > 0ns) At(ToSeconds(grant.hedge_after), [this, job] { Hedge(job); });
  }

  void Hedge(const std::shared_ptr<Job>& job) {
    if (job->answered) return;
    const Dispatcher::Grant& first = job->tries[0]->grant;
    const auto grant = balancers_[job->balancer].dispatcher->Hedge(first, {first.endpoint}, Time());
    if (grant.has_value()) Send(job, grant->endpoint - 1, *grant);
  }

  size_t ChooseSlot(Balancer& balancer) {
    if (world_.way == Way::kPrequal) return ChooseByProbes(balancer);
    if (world_.way == Way::kFill) {
      if (const auto open = ChooseOpenBatch(balancer)) return *open;
    }
    return Choose(ChoicePolicy::kLeastWait, balancer.seen, random_,
                  {.now = Time(), .usual = 0.014});  // Of kFill.
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

  void Send(const std::shared_ptr<Job>& job, size_t index, const Dispatcher::Grant& grant) {
    auto sent = std::make_shared<Sent>();
    sent->job = job;
    sent->slot = index;
    sent->at = now_;
    sent->grant = grant;
    Balancer& balancer = balancers_[job->balancer];
    if (balancer.dispatcher == nullptr) {
      Candidate& seen = balancer.seen[index];
      sent->alone = seen.service.OnBegin(Time());
      ++seen.in_flight;
      seen.turns += 1;
    }
    job->tries.push_back(sent);
    slots_[index].queue.push_back(sent);
    if (slots_[index].running.empty()) Start(index);
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
    for (const auto& sent : std::exchange(slot.running, {})) {
      slot.latency += (now_ - sent->at - slot.latency) / 16;
      if (sent->left) continue;
      Leave(*sent, TryEnd::kAnswered);
      Job& job = *sent->job;
      job.answered = true;
      taken_.push_back(now_ - job.since);
      for (const auto& loser : job.tries) CancelLoser(loser);
      job.tries.clear();
    }
    Start(index);
  }

  // The balancer hears of its end, or ends it.
  void Leave(Sent& sent, TryEnd end) {
    sent.left = true;
    const Slot& slot = slots_[sent.slot];
    ModelLoad load;
    load.each = FromSeconds(slot.each);
    load.in_flight_all = load.in_flight = slot.queue.size();
    Balancer& balancer = balancers_[sent.job->balancer];
    if (balancer.dispatcher != nullptr) {
      const bool answered = end == TryEnd::kAnswered;
      balancer.dispatcher->Finish(sent.grant, end, answered ? 200 : 0, Time(),
                                  {.load = answered ? &load : nullptr, .model = "m"});
      return;
    }
    Candidate& seen = balancer.seen[sent.slot];
    --seen.in_flight;
    seen.service.OnEnd(sent.alone, FromSeconds(now_ - sent.at), true, Time());
    seen.service.OnReport(load, load.in_flight_all, seen.in_flight, Time());
  }

  void CancelLoser(const std::shared_ptr<Sent>& loser) {
    if (loser->left) return;
    Leave(*loser, loser->grant.hedge ? TryEnd::kCancelled : TryEnd::kOutrun);
    std::erase(slots_[loser->slot].queue, loser);
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
  std::vector<double> taken_;
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
