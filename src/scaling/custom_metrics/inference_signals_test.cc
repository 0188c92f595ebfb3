#include "scaling/custom_metrics/inference_signals.h"

#include <gtest/gtest.h>

#include "core/base/text.h"
#include "core/env/random.h"

namespace tepal::custom_metrics {
namespace {

constexpr Instant kStart{std::chrono::hours(1)};
constexpr WallTime kWall{std::chrono::hours(500000)};

ScrapePod PodOf(const std::string& name, const std::string& ip, bool ready = true) {
  ScrapePod pod;
  pod.name_space = "ns";
  pod.name = name;
  pod.uid = name;
  pod.ip = ip;
  pod.ready = ready;
  return pod;
}

// A replica with one model, served at a steady pace.
struct Replica {
  std::string name, ip;
  double requests_per_s = 10;
  double queue_us = 1000;  // Of each request.
  double service_s = 0.02;
  double in_flight = 1;
  double pending = 0;
  int instances = 1;
  ModelReading at;

  void Run(double seconds) {
    at.succeeded += requests_per_s * seconds;
    at.executions += requests_per_s * seconds;
    at.queue_us += requests_per_s * seconds * queue_us;
    at.compute_us += requests_per_s * seconds * service_s * 1e6;
    for (int i = 0; i < instances; ++i) {
      at.busy_us[Concat("m_", i)] += requests_per_s * seconds * service_s * 1e6 / instances;
    }
    at.in_flight = in_flight;
    at.pending = pending;
  }
  void Restart() { at = ModelReading{}; }
  ServerReading Page() const {
    ModelReading reading = at;
    reading.model = "m";
    reading.version = "1";
    return {{"m/1", reading}};
  }
};

struct World {
  explicit World(InferenceSignals::Options options = {}) : signals(options) {}

  Replica& Add(const std::string& name, bool ready = true) {
    Replica replica;
    replica.name = name;
    replica.ip = Concat("10.0.0.", replicas.size() + 1);
    signals.SetPod(PodOf(name, replica.ip, ready));
    replicas.push_back(std::make_unique<Replica>(std::move(replica)));
    return *replicas.back();
  }
  void Run(int seconds, const std::string& without = "") {
    for (int i = 0; i < seconds; ++i) {
      now += 1s;
      for (const auto& replica : replicas) {
        replica->Run(1);
        if (replica->name == without) continue;
        signals.AddPage("ns/" + replica->name, replica->Page(), now, kWall + (now - kStart));
      }
      if (with_balancer) signals.AddBalancerPage("ns/lb", {{"up", pool}}, now);
    }
  }
  InferenceSignals::Pods All() const {
    return signals.PodsWhere([](const ScrapePod&) { return true; });
  }
  std::optional<double> Each(InferenceMetric metric, const std::string& name) const {
    const ScrapePod* pod = signals.FindPod("ns/" + name);
    if (pod == nullptr) return std::nullopt;
    const auto values = signals.OfEach(metric, {pod}, {}, now);
    return values[0] ? std::optional(values[0]->value) : std::nullopt;
  }
  std::optional<double> Sum(InferenceMetric metric) {
    const auto value = signals.OfAll(metric, All(), {}, now);
    return value ? std::optional(value->value) : std::nullopt;
  }

  InferenceSignals signals;
  std::vector<std::unique_ptr<Replica>> replicas;
  PoolReading pool;
  bool with_balancer = false;
  Instant now = kStart;
};

using Metric = InferenceMetric;

TEST(InferenceSignals, QueueTimeIsPerRequest) {
  World world;
  Replica& a = world.Add("a");
  Replica& b = world.Add("b");
  a.queue_us = 500;
  b.queue_us = 2000;
  b.requests_per_s = 30;
  world.Run(1);
  EXPECT_EQ(world.Each(Metric::kQueueTimeUs, "a"), std::nullopt);  // One page says nothing.
  world.Run(40);
  EXPECT_NEAR(*world.Each(Metric::kQueueTimeUs, "a"), 500, 1e-6);
  EXPECT_NEAR(*world.Each(Metric::kQueueTimeUs, "b"), 2000, 1e-6);
  EXPECT_NEAR(*world.Sum(Metric::kQueueTimeUs), (10 * 500 + 30 * 2000) / 40.0, 1e-6);
  const auto value =
      world.signals.OfEach(Metric::kQueueTimeUs, {world.signals.FindPod("ns/a")}, {}, world.now)[0];
  EXPECT_EQ(value->window, 30s);
  EXPECT_EQ(value->timestamp, kWall + 41s);  // Of the page.
}

TEST(InferenceSignals, ZeroOnlyWhenScrapedAndIdle) {
  World world;
  Replica& a = world.Add("a");
  a.requests_per_s = 0;
  a.in_flight = 0;
  world.Run(5);
  EXPECT_EQ(world.Each(Metric::kQueueTimeUs, "a"), 0);
  EXPECT_EQ(world.Each(Metric::kInFlight, "a"), 0);
  EXPECT_EQ(world.Sum(Metric::kRequiredReplicas), 0);
  a.pending = 3;  // Nobody is served, and three wait: longer and longer.
  world.Run(10);
  EXPECT_NEAR(*world.Each(Metric::kQueueTimeUs, "a"), 9e6, 1);
  EXPECT_NEAR(*world.Each(Metric::kQueueAgeUs, "a"), 9e6, 1);
}

TEST(InferenceSignals, RestartsAreNeverNegative) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    env::SeededRandom random(seed);
    World world;
    Replica& a = world.Add("a");
    for (int i = 0; i < 200; ++i) {
      if (i > 2 && random.Below(10) == 0) a.Restart();
      world.Run(1);
      const auto value = world.Each(Metric::kQueueTimeUs, "a");
      if (i == 0) continue;
      ASSERT_TRUE(value.has_value()) << "seed " << seed;
      ASSERT_NEAR(*value, 1000, 1) << "seed " << seed;
      ASSERT_GE(*world.Sum(Metric::kRequiredReplicas), 0) << "seed " << seed;
    }
  }
}

TEST(InferenceSignals, AStalePodIsMissingAndCountsAsTheMean) {
  World world;
  Replica& a = world.Add("a");
  Replica& b = world.Add("b");
  a.in_flight = 4;
  b.in_flight = 8;
  world.Run(30);
  EXPECT_NEAR(*world.Sum(Metric::kInFlight), 12, 1e-6);
  world.Run(3, "b");
  EXPECT_TRUE(world.Each(Metric::kInFlight, "b").has_value());
  world.Run(1, "b");
  EXPECT_EQ(world.Each(Metric::kInFlight, "b"), std::nullopt);
  EXPECT_TRUE(world.Each(Metric::kInFlight, "a").has_value());
  EXPECT_NEAR(*world.Sum(Metric::kInFlight), 8, 1e-6);  // Twice that of a.
  const double both = 2 * 10 * 0.02 / 0.8;
  EXPECT_NEAR(*world.Sum(Metric::kRequiredReplicas), both, 1e-6);
  world.now += 10s;
  EXPECT_EQ(world.Sum(Metric::kInFlight), std::nullopt);
  EXPECT_EQ(world.Sum(Metric::kRequiredReplicas), std::nullopt);
}

TEST(InferenceSignals, PodsThatAreNotReadyCountAsTold) {
  for (const bool count : {false, true}) {
    InferenceSignals::Options options;
    options.count_not_ready = count;
    World world(options);
    world.Add("loading", false);
    world.Add("a");
    world.Run(5);
    EXPECT_EQ(world.Each(Metric::kInFlight, "loading").has_value(), count);
    EXPECT_NEAR(*world.Sum(Metric::kInFlight), count ? 2 : 1, 1e-6);
  }
}

TEST(InferenceSignals, ANewPodUnderAnOldNameBeginsAnew) {
  World world;
  world.Add("a-0");
  world.Run(10);
  ScrapePod again = PodOf("a-0", "10.0.0.1");
  again.uid = "another";
  world.signals.SetPod(again);
  EXPECT_EQ(world.Each(Metric::kQueueTimeUs, "a-0"), std::nullopt);
  world.signals.RemovePod("ns/a-0");
  EXPECT_TRUE(world.All().empty());
}

// arrivals x service time / instances / utilization, whatever the number of replicas is.
TEST(InferenceSignals, RequiredReplicasIsArrivalsTimesServiceTime) {
  World world;
  for (int i = 0; i < 3; ++i) {
    Replica& replica = world.Add(Concat("r", i));
    replica.requests_per_s = 40;
    replica.service_s = 0.05;
    replica.instances = 2;
  }
  world.Run(30);
  EXPECT_NEAR(*world.Sum(Metric::kRequiredReplicas), 120 * 0.05 / 2 / 0.8, 1e-6);
}

TEST(InferenceSignals, RequiredReplicasSeesALineThatGrows) {
  World world;
  Replica& a = world.Add("a");
  a.requests_per_s = 50;  // All it can do.
  for (int i = 0; i < 20; ++i) {
    a.in_flight += 100;  // 150 come each second.
    world.Run(1);
  }
  EXPECT_NEAR(*world.Sum(Metric::kRequiredReplicas), 150 * 0.02 / 0.8, 1e-6);
  a.requests_per_s = 0;  // Stuck, and they still come: what one costs is remembered.
  for (int i = 0; i < 20; ++i) {
    a.in_flight += 150;
    world.Run(1);
  }
  EXPECT_NEAR(*world.Sum(Metric::kRequiredReplicas), 150 * 0.02 / 0.8, 0.1);
}

TEST(InferenceSignals, StockTritonsPageWillDo) {
  World world;
  Replica& a = world.Add("a");
  for (int i = 0; i < 20; ++i) {
    a.Run(1);
    world.now += 1s;
    ServerReading page = a.Page();
    page.at("m/1").busy_us.clear();
    page.at("m/1").in_flight.reset();
    page.at("m/1").executions /= 4;  // Batches of four,
    page.at("m/1").compute_us *= 4;  // each request counting all of its batch.
    world.signals.AddPage("ns/a", page, world.now, kWall);
  }
  EXPECT_NEAR(*world.Sum(Metric::kRequiredReplicas), 10 * 0.02 / 0.8, 1e-6);
  EXPECT_EQ(world.Each(Metric::kInFlight, "a"), std::nullopt);  // It does not say.
}

TEST(InferenceSignals, WaitingInTheBalancerIsPartOfIt) {
  World world;
  world.with_balancer = true;
  Replica& a = world.Add("a");
  Replica& b = world.Add("b");
  world.Add("other");
  a.in_flight = 2;
  b.in_flight = 2;
  world.pool.endpoints = {"10.0.0.1", "10.0.0.2"};
  world.pool.waiting = 6;
  world.pool.oldest_us = 0;
  for (int i = 0; i < 40; ++i) {
    world.pool.admitted += 100;
    world.pool.wait_us += 100 * 300;
    world.Run(1);
  }
  EXPECT_NEAR(*world.Each(Metric::kInFlight, "a"), 2 + 3, 1e-6);
  EXPECT_NEAR(*world.Each(Metric::kInFlight, "other"), 1, 1e-6);
  EXPECT_NEAR(*world.Sum(Metric::kInFlight), 2 + 2 + 1 + 6, 1e-6);
  EXPECT_NEAR(*world.Each(Metric::kQueueTimeUs, "a"), 1000 + 300, 1);
  EXPECT_NEAR(*world.Each(Metric::kQueueTimeUs, "other"), 1000, 1);
  world.pool.oldest_us = 5e6;
  world.Run(1);
  EXPECT_NEAR(*world.Each(Metric::kQueueAgeUs, "a"), 5e6, 1);
  EXPECT_NEAR(*world.Each(Metric::kQueueAgeUs, "other"), 0, 1);
  // The line of the balancer grows by 30 a second: so many more arrive than are served.
  for (int i = 0; i < 20; ++i) {
    world.pool.waiting += 30;
    world.Run(1);
  }
  EXPECT_NEAR(*world.Sum(Metric::kRequiredReplicas), (30 + 30) * 0.02 / 0.8, 0.01);
  // A balancer that is not heard of any more has no line.
  world.with_balancer = false;
  world.Run(5);
  EXPECT_NEAR(*world.Sum(Metric::kInFlight), 5, 1e-6);
}

TEST(InferenceSignals, AModelCanBeChosen) {
  World world;
  world.Add("a");
  for (int i = 1; i <= 10; ++i) {
    world.now += 1s;
    ServerReading page = world.replicas[0]->Page();
    page["n/2"] = {};
    page["n/2"].model = "n";
    page["n/2"].version = "2";
    page["n/2"].succeeded = 5 * i;
    page["n/2"].queue_us = 5 * 70 * i;
    world.signals.AddPage("ns/a", page, world.now, kWall);
  }
  const auto models = LabelSelector::Parse("model=n,version in (2)");
  const auto values = world.signals.OfEach(Metric::kQueueTimeUs, {world.signals.FindPod("ns/a")},
                                           *models, world.now);
  EXPECT_NEAR(values[0]->value, 70, 1e-6);
}

TEST(InferenceSignals, LoadThatMovesToNewPodsCountsOnce) {
  World world;
  Replica* const a = &world.Add("a");
  a->requests_per_s = 60;
  a->in_flight = 6;
  for (const char* name : {"b", "c"}) world.signals.SetPod(PodOf(name, "", false));
  world.Run(30);
  EXPECT_NEAR(*world.Sum(Metric::kInFlight), 6, 1e-6);
  EXPECT_NEAR(*world.Sum(Metric::kRequiredReplicas), 60 * 0.02 / 0.8, 1e-6);
  for (Replica* one : {a, &world.Add("b"), &world.Add("c")}) {
    one->requests_per_s = 20;
    one->in_flight = 2;
  }
  for (int i = 0; i < 30; ++i) {
    world.Run(1);
    EXPECT_NEAR(*world.Sum(Metric::kInFlight), 6, 0.3) << i;
    EXPECT_NEAR(*world.Sum(Metric::kRequiredReplicas), 60 * 0.02 / 0.8, 0.1) << i;
  }
}

// A model that is loaded while its pod serves others counts from its first request on.
TEST(InferenceSignals, AModelLoadedLaterBeganAtZero) {
  World world;
  world.signals.SetPod(PodOf("a", "10.0.0.1"));
  ModelReading old;
  old.model = "m";
  world.signals.AddPage("ns/a", {{"m/1", old}}, kStart, kWall);
  ModelReading fresh;
  fresh.model = "n";
  fresh.succeeded = 10;
  fresh.queue_us = 900;
  world.signals.AddPage("ns/a", {{"m/1", old}, {"n/1", fresh}}, kStart + 1s, kWall);
  world.now = kStart + 1s;
  EXPECT_NEAR(*world.Each(Metric::kQueueTimeUs, "a"), 90, 1e-6);
}

}  // namespace
}  // namespace tepal::custom_metrics
