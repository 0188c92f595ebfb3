// A node, its GPU clients and a driver that fails, against the agent that may be killed at any
// step. When the faults end: the layout is what the label asks for, every client is what it was,
// and the state says so. On the way: no client is paused without a note of what it was.

#include "partitioning/node_agent/repartition.h"

#include <gtest/gtest.h>

#include <memory>

#include "core/base/text.h"
#include "core/env/random.h"

namespace tepal::node_agent {
namespace {

using Kind = Repartition::Action::Kind;

class Scenario {
 public:
  explicit Scenario(uint64_t seed) : random_(seed) {
    const std::string names[] = {"device-plugin", "dcgm", "gpu-feature-discovery", "nvsm"};
    const std::string values[] = {"true", "true", "false", "custom"};
    for (const std::string& name : names) {
      if (random_.Below(3) == 0) continue;
      node_.clients[Concat(kClientPrefix, name)] = values[random_.Below(4)];
    }
    wanted_clients_ = node_.clients;
    // What a manager that died before us left behind.
    if (!node_.clients.empty() && random_.Below(4) == 0) {
      auto& [label, value] = *node_.clients.begin();
      value = kPausedValue;
      wanted_clients_[label] = "true";
    }
    Start();
  }

  void Go() {
    for (int step = 0; step < 400; ++step) {
      faults_ = step < 250;
      if (faults_ && random_.Below(15) == 0) node_.config = ConfigName();
      if (!faults_ && node_.config == "broken") node_.config = "a";
      if (faults_ && random_.Below(25) == 0) Start();
      agent_->OnNode(node_);
      Step();
      CheckAlways();
      if (testing::Test::HasFailure()) return;
    }
    EXPECT_TRUE(agent_->idle());
    EXPECT_EQ(layout_, node_.config.empty() ? layout_ : node_.config);
    if (!node_.config.empty()) {
      EXPECT_EQ(node_.state, "success") << node_.reason;
    }
    EXPECT_EQ(node_.clients, wanted_clients_);
    EXPECT_FALSE(node_.paused.has_value());
  }

 private:
  std::string ConfigName() {
    const std::string names[] = {"a", "b", "c", "broken", "a", "b", ""};
    return names[random_.Below(7)];
  }
  void Start() {
    agent_ = std::make_unique<Repartition>(Repartition::Options{}, random_);
    before_.clear();
    must_roll_back_ = false;
  }
  bool Fails(uint64_t one_in) { return faults_ && random_.Below(one_in) == 0; }

  void Step() {
    if (const auto when = agent_->NextDeadline()) now_ = std::max(now_, *when);
    const Repartition::Action action = agent_->NextAction(now_);
    now_ += Duration(static_cast<int64_t>(random_.Below(1'000'000'000)));
    // Killed before it is done, or after.
    const uint64_t kill = faults_ ? random_.Below(20) : 10;
    if (kill == 0) return Start();
    Do(action, kill == 1);
  }

  void Do(const Repartition::Action& action, bool kill_after) {
    switch (action.kind) {
      case Kind::kNone:
        return;
      case Kind::kCheck:
        return Check(action.config);
      case Kind::kPatch: {
        const bool done = !Fails(5);
        if (done) Patch(action.patch);
        if (kill_after) return Start();
        agent_->OnNode(node_);
        return agent_->OnPatched(done, now_);
      }
      case Kind::kClients:
        if (Fails(5)) return agent_->OnClients(std::nullopt, now_);
        if (faults_ && random_.Below(20) == 0) now_ += 400s;  // One that will not stop.
        return agent_->OnClients(static_cast<int>(random_.Below(3)), now_);
      case Kind::kApply:
        return Apply(action.config, kill_after);
      case Kind::kRollBack:
        must_roll_back_ = false;
        if (!Fails(3)) layout_ = before_;
        return agent_->OnRolledBack(layout_ == before_ ? Status() : Internal("no"), now_);
      case Kind::kReboot:
        FAIL() << "it may not";
    }
  }

  void Check(const std::string& config) {
    using Result = Repartition::Check;
    if (Fails(6)) return agent_->OnChecked(Result::kFailed, Internal("no driver"), now_);
    if (config == "broken") {
      return agent_->OnChecked(Result::kInvalid, InvalidArgument("no such configuration"), now_);
    }
    agent_->OnChecked(config == layout_ ? Result::kApplied : Result::kDiffers, Status(), now_);
  }

  void Apply(const std::string& config, bool kill_after) {
    for (const auto& [label, value] : node_.clients) {
      EXPECT_NE(value, "true") << label << " runs while the GPUs change";
    }
    EXPECT_EQ(node_.state, "pending");
    before_ = layout_;
    Repartition::Applied applied;
    if (Fails(3)) {
      applied.status = FailedPrecondition("in use");
      applied.changed = random_.Below(2) == 0;
      if (applied.changed) {
        layout_ = "half";
        must_roll_back_ = true;
      }
    } else {
      layout_ = config;
      applied.waits_for_reboot = Fails(8);
    }
    if (kill_after) return Start();
    agent_->OnApplied(applied, now_);
  }

  void Patch(const NodePatch& patch) {
    for (const auto& [label, value] : patch.labels) {
      ASSERT_TRUE(value.has_value());
      if (label == kStateLabel) {
        node_.state = *value;
        if (*value == "failed") {
          EXPECT_FALSE(must_roll_back_) << "left half-way";
        }
      } else {
        ASSERT_TRUE(node_.clients.contains(label)) << label;
        node_.clients[label] = *value;
      }
    }
    for (const auto& [name, value] : patch.annotations) {
      if (name == kPausedAnnotation) node_.paused = value;
      if (name == kReasonAnnotation) node_.reason = value.value_or("");
    }
  }

  void CheckAlways() {
    for (const auto& [label, value] : node_.clients) {
      if (value != kPausedValue || node_.paused.has_value()) continue;
      EXPECT_EQ(wanted_clients_[label], "true")
          << label << " is paused and nobody knows what it was";
    }
    if (node_.state == "failed") {
      EXPECT_FALSE(node_.reason.empty());
    }
    if (node_.state == "success" || node_.state == "failed") {
      EXPECT_FALSE(node_.paused.has_value()) << "ended, and clients are paused";
    }
  }

  env::SeededRandom random_;
  NodeView node_;
  std::map<std::string, std::string> wanted_clients_;
  std::string layout_ = "a";
  std::string before_;
  std::unique_ptr<Repartition> agent_;
  Instant now_{};
  bool faults_ = true;
  bool must_roll_back_ = false;
};

TEST(RepartitionSimulation, EndsWhereTheLabelAsksAndRestoresEveryClient) {
  for (uint64_t seed = 1; seed <= 1000; ++seed) {
    Scenario(seed).Go();
    if (HasFailure()) FAIL() << "seed " << seed;
  }
}

TEST(Repartition, AsksForOnePatchEachWay) {
  env::SeededRandom random(1);
  Repartition agent({}, random);
  NodeView node;
  node.config = "all-1g.5gb";
  node.clients = {{"nvidia.com/gpu.deploy.dcgm", "true"}, {"nvidia.com/gpu.deploy.nvsm", "false"}};
  agent.OnNode(node);
  const Instant now{};
  EXPECT_EQ(agent.NextAction(now).kind, Kind::kCheck);
  agent.OnChecked(Repartition::Check::kDiffers, {}, now);
  EXPECT_EQ(MergePatchOf(agent.NextAction(now).patch),
            R"({"metadata":{"labels":{"nvidia.com/gpu.deploy.dcgm":"paused-for-mig-change",)"
            R"("nvidia.com/mig.config.state":"pending"},)"
            R"("annotations":{"tepal.io/mig-paused-clients":"dcgm=true"}}})");
  node.clients["nvidia.com/gpu.deploy.dcgm"] = kPausedValue;
  node.paused = "dcgm=true";
  node.state = "pending";
  agent.OnNode(node);
  agent.OnPatched(true, now);
  EXPECT_EQ(agent.NextAction(now).kind, Kind::kClients);
  agent.OnClients(0, now);
  EXPECT_EQ(agent.NextAction(now).kind, Kind::kApply);
  agent.OnApplied({}, now);
  EXPECT_EQ(MergePatchOf(agent.NextAction(now).patch),
            R"({"metadata":{"labels":{"nvidia.com/gpu.deploy.dcgm":"true",)"
            R"("nvidia.com/mig.config.state":"success"},)"
            R"("annotations":{"tepal.io/mig-paused-clients":null}}})");
}

}  // namespace
}  // namespace tepal::node_agent
