// Advice against brute force: every layout, every way to give its instances to models.

#include "partitioning/mig/advise.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <set>

#include "core/env/random.h"

namespace tepal::mig {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const GpuModel& A100() { return *FindGpuModel("A100-40"); }
const GpuModel& A30() { return *FindGpuModel("A30"); }

size_t IndexOf(const GpuModel& model, const Profile* profile) {
  return static_cast<size_t>(profile - model.profiles.data());
}

std::vector<Layout> Layouts(const GpuModel& model) {
  std::vector<const Profile*> profiles;
  for (const Profile& profile : model.profiles) {
    // Variants double the work and change nothing.
    if (profile.nvml_profile <= 6) profiles.push_back(&profile);
  }
  return AllLayouts(model, profiles);
}

struct Question {
  Throughputs throughputs;
  std::vector<double> traffic;
  std::vector<Demand> demands;
};

// Larger instances do more, not in proportion; some profiles are too slow.
Question Ask(const GpuModel& model, size_t models, double gpus, uint64_t seed) {
  env::SeededRandom random(seed);
  Question question;
  for (size_t d = 0; d < models; ++d) {
    std::vector<double> of;
    const double base = 20 + 80 * random.Unit();
    const double growth = 0.5 + 0.7 * random.Unit();
    for (const Profile& profile : model.profiles) {
      const bool slow = random.Below(5) == 0 && profile.compute_slices < 3;
      const double most = base * std::pow(profile.compute_slices, growth);
      of.push_back(slow || profile.nvml_profile > 6 ? 0 : std::floor(most));
    }
    question.throughputs.push_back(std::move(of));
    const double whole = question.throughputs[d].back();
    question.traffic.push_back(
        std::ceil(whole * gpus / static_cast<double>(models) * (0.3 + 1.4 * random.Unit())));
    question.demands.push_back({"m" + std::to_string(d), question.traffic[d], 1});
  }
  return question;
}

// Calls `see` with what each way to use one GPU serves, and its layout.
void EveryUse(const GpuModel& model, const std::vector<Layout>& layouts, const Question& question,
              const std::function<void(const std::vector<double>&, const Layout&)>& see) {
  std::vector<double> served(question.traffic.size(), 0);
  for (const Layout& layout : layouts) {
    const std::function<void(size_t)> give = [&](size_t instance) {
      if (instance == layout.size()) return see(served, layout);
      for (size_t d = 0; d < served.size(); ++d) {
        const double more = question.throughputs[d][IndexOf(model, layout[instance].profile)];
        served[d] += more;
        give(instance + 1);
        served[d] -= more;
      }
    };
    give(0);
  }
}

bool Serves(const std::vector<double>& served, const std::vector<double>& traffic) {
  for (size_t d = 0; d < traffic.size(); ++d) {
    if (served[d] < traffic[d]) return false;
  }
  return true;
}

Layout LayoutOf(const AdvisedGpu& gpu) {
  Layout layout;
  for (const AdvisedReplica& replica : gpu) layout.push_back(replica.placement);
  return layout;
}

std::vector<double> ServedBy(const GpuModel& model, std::span<const AdvisedGpu> gpus,
                             const Question& question) {
  std::vector<double> served(question.traffic.size(), 0);
  for (const AdvisedGpu& gpu : gpus) {
    EXPECT_TRUE(IsLegal(model, LayoutOf(gpu)));
    for (const AdvisedReplica& replica : gpu) {
      served[replica.demand] +=
          question.throughputs[replica.demand][IndexOf(model, replica.placement.profile)];
    }
  }
  return served;
}

void CompareOneGpu(const GpuModel& model, size_t models, double load, uint64_t seeds) {
  const std::vector<Layout> layouts = Layouts(model);
  int possible = 0;
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    SCOPED_TRACE(testing::Message() << model.alias << ", seed " << seed);
    const Question question = Ask(model, models, load, seed);
    int room = -1;
    EveryUse(model, layouts, question, [&](const auto& served, const Layout& layout) {
      if (Serves(served, question.traffic)) room = std::max(room, Room(model, layout));
    });
    const AdvisedGpu advised = AdviseOneGpu(model, question.throughputs, question.traffic);
    ASSERT_EQ(!advised.empty(), room >= 0);
    if (room < 0) {
      continue;
    }
    ++possible;
    EXPECT_EQ(Room(model, LayoutOf(advised)), room);
    EXPECT_TRUE(Serves(ServedBy(model, {&advised, 1}, question), question.traffic));
    EXPECT_LE(GpusLowerBound(model, question.throughputs, question.traffic), 1);
  }
  EXPECT_GT(possible, static_cast<int>(seeds / 10)) << "the questions are too hard to say much";
  EXPECT_LT(possible, static_cast<int>(seeds)) << "and too easy";
}

TEST(AdviseOneGpu, AsGoodAsTheBestOfAllOnAnA30) { CompareOneGpu(A30(), 3, 0.6, 300); }
TEST(AdviseOneGpu, AsGoodAsTheBestOfAllOnAnA100) { CompareOneGpu(A100(), 2, 0.9, 40); }

TEST(AdviseGpus, TwoGpusAgainstBruteForce) {
  const std::vector<Layout> layouts = Layouts(A30());
  int optimal = 0;
  int compared = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const Question question = Ask(A30(), 2, 1.3, seed);
    std::set<std::vector<double>> uses;
    EveryUse(A30(), layouts, question,
             [&](const auto& served, const Layout&) { uses.insert(served); });
    int best = 3;  // Or more.
    for (const auto& a : uses) {
      if (Serves(a, question.traffic)) best = 1;
      for (const auto& b : uses) {
        if (best > 2 && Serves({a[0] + b[0], a[1] + b[1]}, question.traffic)) best = 2;
      }
    }
    const auto advice = AdviseGpus(A30(), question.throughputs, question.demands, seed);
    ASSERT_TRUE(advice.ok());
    EXPECT_TRUE(Serves(ServedBy(A30(), advice->gpus, question), question.traffic));
    if (best > 2) {
      EXPECT_GE(advice->gpus.size(), 3u);
      continue;
    }
    ++compared;
    EXPECT_LE(advice->lower_bound, best);
    optimal += advice->gpus.size() == static_cast<size_t>(best) ? 1 : 0;
  }
  EXPECT_GT(compared, 20);
  EXPECT_EQ(optimal, compared);
}

TEST(AdviseGpus, ManyGpusServeAllAndAreNearTheBound) {
  size_t gpus = 0;
  int bound = 0;
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const Question question = Ask(A100(), 4, 10, seed);
    const auto advice = AdviseGpus(A100(), question.throughputs, question.demands, seed);
    ASSERT_TRUE(advice.ok()) << advice.status().ToString();
    EXPECT_TRUE(Serves(ServedBy(A100(), advice->gpus, question), question.traffic));
    EXPECT_GE(static_cast<int>(advice->gpus.size()), advice->lower_bound);
    gpus += advice->gpus.size();
    bound += advice->lower_bound;
  }
  EXPECT_LE(static_cast<double>(gpus), 1.25 * bound);
  std::printf("6 questions: %zu GPUs, at least %d are needed\n", gpus, bound);
}

TEST(AdviseGpus, NothingWantedNeedsNothing) {
  const auto advice = AdviseGpus(A100(), {}, {}, 1);
  ASSERT_TRUE(advice.ok());
  EXPECT_TRUE(advice->gpus.empty());
  EXPECT_EQ(advice->lower_bound, 0);
}

TEST(AdviseGpus, RefusesMoreThanItPlansFor) {
  Throughputs throughputs(1, std::vector<double>(A100().profiles.size(), 0));
  throughputs[0][0] = 1;
  const std::vector<Demand> demands = {{"m", 1e6, 1}};
  EXPECT_EQ(AdviseGpus(A100(), throughputs, demands, 1).status().code(),
            StatusCode::kResourceExhausted);
}

TEST(WithinLatency, TakesTheBestPointWithinTheLatency) {
  const std::vector<Measurement> measured = {{"m", "1g.5gb", 100, 9},
                                             {"m", "1g.5gb", 140, 30},
                                             {"m", "3g.20gb", 300, 20},
                                             {"m", "1g.6gb", 999, 1},
                                             {"n", "3g.20gb", 50, 80}};
  const std::vector<Demand> demands = {{"m", 10, 20}};
  const auto found = WithinLatency(A100(), measured, demands);
  ASSERT_TRUE(found.ok());
  EXPECT_THAT((*found)[0], ElementsAre(100, 0, 0, 0, 300, 0, 0));
}

TEST(WithinLatency, SaysWhatIsWrong) {
  const std::vector<Measurement> measured = {{"m", "3g.20gb", 50, 80}, {"n", "1g.6gb", 50, 8}};
  const auto error = [&](Demand demand) {
    return WithinLatency(A100(), measured, {&demand, 1}).status().message();
  };
  EXPECT_EQ(error({"m", 1, 20}),
            "field 'models[0].p99_ms': got 20, expected at least 80, the best that was measured of "
            "'m' (3g.20gb)");
  EXPECT_EQ(error({"n", 1, 20}),
            "field 'models[0].model': got 'n', expected a model with measurements on profiles of "
            "A100-40");
}

TEST(ParseMeasurements, ReadsColumnsByName) {
  const auto rows = ParseMeasurements(
      "concurrency,p99_ms,model,profile,throughput_per_s\r\n4,12.5,resnet50,1g.5gb,210\r\n\n", "t");
  ASSERT_TRUE(rows.ok()) << rows.status().ToString();
  ASSERT_EQ(rows->size(), 1u);
  EXPECT_EQ((*rows)[0].model, "resnet50");
  EXPECT_EQ((*rows)[0].profile, "1g.5gb");
  EXPECT_EQ((*rows)[0].throughput_per_s, 210);
  EXPECT_EQ((*rows)[0].p99_ms, 12.5);
}

TEST(ParseMeasurements, NamesLineColumnAndValue) {
  const auto error = [](std::string_view csv) {
    return ParseMeasurements(csv, "t.csv").status().message();
  };
  EXPECT_THAT(error("model,profile,p99_ms\n"), HasSubstr("t.csv:1: column 'throughput_per_s' is"));
  EXPECT_EQ(error("model,profile,throughput_per_s,p99_ms\nm,1g.5gb,fast,1\n"),
            "t.csv:2: column 'throughput_per_s': got 'fast', expected a number from 0 to 1e9");
  EXPECT_EQ(error("model,profile,throughput_per_s,p99_ms\nm,1g.5gb,1\n"),
            "t.csv:2: column 'p99_ms': got '', expected a value");
  EXPECT_THAT(error("model,profile,throughput_per_s,p99_ms\nm,1g.5gb,nan,1\n"), HasSubstr("'nan'"));
}

TEST(ParseDemands, ReadsAndRefuses) {
  const auto demands =
      ParseDemands("models:\n- {model: m, traffic_per_s: 250, p99_ms: 50}\n", "w.yaml");
  ASSERT_TRUE(demands.ok()) << demands.status().ToString();
  EXPECT_EQ((*demands)[0].traffic_per_s, 250);
  const auto error = [](std::string_view yaml) {
    return ParseDemands(yaml, "w.yaml").status().message();
  };
  EXPECT_THAT(error("models:\n- {model: m, traffic_per_s: -1, p99_ms: 5}\n"),
              HasSubstr("w.yaml:2: field 'models[0].traffic_per_s': got '-1'"));
  EXPECT_THAT(error("models:\n- {model: m, traffic_per_s: 1, p99_ms: 5}\n"
                    "- {model: m, traffic_per_s: 1, p99_ms: 5}\n"),
              HasSubstr("w.yaml:3: field 'models[1].model': got 'm', expected each model once"));
  EXPECT_THAT(error("{}"), HasSubstr("'models' is missing"));
}

GpuState StateOf(std::initializer_list<std::pair<std::string_view, int>> instances, bool in_use) {
  GpuState state{.model = &A100(), .mig_enabled = true, .mig_pending = true};
  for (const auto& [name, start] : instances) {
    const Profile* const profile = FindProfile(A100(), name);
    state.instances.push_back({.id = static_cast<int>(state.instances.size()) + 1,
                               .placement = {profile, start},
                               .compute = {profile->compute_slices},
                               .in_use = in_use});
  }
  return state;
}

TEST(PlanAdvice, GivesEachGpuTheLayoutItIsNearTo) {
  const std::vector<GpuState> now = {StateOf({{"3g.20gb", 0}, {"3g.20gb", 4}}, true),
                                     StateOf({{"7g.40gb", 0}}, false),
                                     StateOf({{"1g.5gb", 0}, {"1g.5gb", 1}}, true)};
  const AdvisedGpu small = {{0, {FindProfile(A100(), "1g.5gb"), 3}},
                            {0, {FindProfile(A100(), "1g.5gb"), 4}}};
  const AdvisedGpu large = {{0, {FindProfile(A100(), "3g.20gb"), 0}},
                            {0, {FindProfile(A100(), "3g.20gb"), 4}}};
  const std::vector<AdvisedGpu> advised = {small, large};
  const auto transitions = PlanAdvice(now, advised);
  ASSERT_TRUE(transitions.ok());
  ASSERT_EQ(transitions->size(), 2u);
  EXPECT_EQ((*transitions)[0].gpu, 0u);
  EXPECT_EQ((*transitions)[0].advised, 1u);
  EXPECT_EQ((*transitions)[1].gpu, 2u);
  EXPECT_EQ((*transitions)[1].advised, 0u);
  for (const Transition& transition : *transitions) EXPECT_TRUE(transition.plan.steps.empty());
}

TEST(PlanAdvice, SaysWhatBlocks) {
  const std::vector<GpuState> now = {StateOf({{"7g.40gb", 0}}, true)};
  const std::vector<AdvisedGpu> advised = {{{0, {FindProfile(A100(), "1g.5gb"), 0}}}};
  const auto transitions = PlanAdvice(now, advised);
  ASSERT_TRUE(transitions.ok());
  EXPECT_TRUE((*transitions)[0].plan.blocked());
  EXPECT_THAT((*transitions)[0].plan.blocked_by, ElementsAre(1));
}

}  // namespace
}  // namespace tepal::mig
