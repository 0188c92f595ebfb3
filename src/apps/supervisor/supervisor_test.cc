// The supervisor on a virtual clock, with processes, a balancer and answers that are made up.

#include "apps/supervisor/supervisor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <map>

#include "apps/supervisor/testing/fake_loop.h"
#include "core/base/check.h"
#include "core/base/text.h"
#include "core/json/value.h"

namespace tepal::supervisor {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

struct FakeChild {
  env::ProcessOptions options;
  Function<void(env::ProcessExit)> on_exit;
  Instant ready_at{};
  std::vector<int> signals;
  bool hangs = false;
};

// Children by pid; they become ready after one second and obey signals at once.
class FakeProcesses final : public env::ProcessStarter {
 public:
  explicit FakeProcesses(FakeLoop& loop) : loop_(loop) {}

  Result<std::unique_ptr<env::Process>> Start(env::ProcessOptions options,
                                              Function<void(env::ProcessExit)> on_exit) override {
    if (refuses) return NotFound("no such program");
    const int pid = ++last_pid_;
    FakeChild& child = children[pid];
    child.options = std::move(options);
    child.on_exit = std::move(on_exit);
    child.ready_at = loop_.Now() + 1s;
    return std::unique_ptr<env::Process>(std::make_unique<Child>(*this, pid));
  }

  void Exit(int pid, env::ProcessExit exit) {
    const auto child = children.find(pid);
    if (child == children.end()) return;
    auto on_exit = std::move(child->second.on_exit);
    children.erase(child);
    on_exit(exit);
  }

  std::map<int, FakeChild> children;
  std::vector<std::pair<int, int>> signals;  // pid, signal
  bool refuses = false;

 private:
  class Child final : public env::Process {
   public:
    Child(FakeProcesses& owner, int pid) : owner_(owner), pid_(pid) {}
    int pid() const override { return pid_; }
    void Signal(int signal_number) override {
      owner_.signals.emplace_back(pid_, signal_number);
      const auto child = owner_.children.find(pid_);
      if (child == owner_.children.end()) return;
      if (signal_number == SIGTERM && child->second.hangs) return;
      owner_.loop_.Post([&owner = owner_, pid = pid_, signal_number] {
        owner.Exit(pid, {signal_number == SIGKILL, signal_number == SIGKILL ? SIGKILL : 0});
      });
    }

   private:
    FakeProcesses& owner_;
    int pid_;
  };

  FakeLoop& loop_;
  int last_pid_ = 1000;
};

class FakeTraffic final : public TrafficControl {
 public:
  EndpointId AddEndpoint(const Endpoint& endpoint) override {
    endpoints[++last_] = Concat(endpoint.name, " ", endpoint.address.ToString());
    if (endpoint.grpc_address) grpc_ports[last_] = endpoint.grpc_address->port;
    return last_;
  }
  void DrainEndpoint(EndpointId endpoint, Function<void()> done) override {
    TEPAL_CHECK(endpoints.contains(endpoint));
    drains.emplace(endpoint, std::move(done));
  }
  void RemoveEndpoint(EndpointId endpoint) override {
    endpoints.erase(endpoint);
    drains.erase(endpoint);
  }
  TrafficReading Read() override {
    TrafficReading reading = traffic;
    for (const auto& [id, name] : endpoints) {
      reading.endpoints.push_back({id, 100 * id, 1, "up"});
    }
    return reading;
  }
  void FinishDrains() {
    for (auto& [id, done] : std::exchange(drains, {})) done();
  }

  TrafficReading traffic;
  std::map<EndpointId, std::string> endpoints;
  std::map<EndpointId, int> grpc_ports;
  std::map<EndpointId, Function<void()>> drains;

 private:
  EndpointId last_ = 0;
};

class FakeSocket final : public env::BoundSocket {
 public:
  explicit FakeSocket(uint16_t port) : port_(port) {}
  int descriptor() const override { return port_; }
  env::Address address() const override { return {env::Address::Family::kIp4, "127.0.0.1", port_}; }

 private:
  uint16_t port_;
};

class SupervisorTest : public ::testing::Test {
 protected:
  SupervisorTest() {
    config_.slots.count = config_.replicas.slots = 7;
    config_.autoscaler.options.replicas_max = 7;
    config_.autoscaler.options.scale_down.stabilization_window = 10s;
    config_.autoscaler.in_flight = MetricConfig{.target = 4, .window = 2s};
  }

  void Start() {
    SlotPlan plan;
    LookForSlots look;
    if (found_.ok() && !found_->empty()) {
      plan.slots = *found_;
      look = [this](Function<void(Result<std::vector<Slot>>)> done) {
        loop_.Post([this, done = std::move(done)]() mutable { done(found_); });
      };
    }
    for (int i = 0; i < 7 && !look; ++i) plan.slots.push_back({.id = Concat("cpu ", i)});
    supervisor_ = std::make_unique<Supervisor>(
        Supervisor::Options{config_, std::move(plan), "/bin/tepal", {"serve"}, "logs", grpc_},
        Supervisor::Seams{loop_, processes_, traffic_, nullptr,
                          [this](const env::Address&) -> Result<std::unique_ptr<env::BoundSocket>> {
                            return std::unique_ptr<env::BoundSocket>(
                                std::make_unique<FakeSocket>(++last_port_));
                          },
                          [this](const env::Address& to, std::string_view path, Duration time_max,
                                 Function<void(Result<std::string>)> done) {
                            Answer(to, path, time_max, std::move(done));
                          },
                          [](const std::string& path) { return "the end of " + path; },
                          [this](std::string_view line) { lines_.emplace_back(line); },
                          [this] { finished_ = true; }, std::move(look)});
    supervisor_->Start();
  }

  ~SupervisorTest() override {
    if (supervisor_ == nullptr) return;
    supervisor_->Stop();
    supervisor_->Stop();
    loop_.RunFor(1s);
    EXPECT_TRUE(finished_);
    EXPECT_TRUE(processes_.children.empty());
    EXPECT_TRUE(traffic_.endpoints.empty());
  }

  void Answer(const env::Address& to, std::string_view path, Duration time_max,
              Function<void(Result<std::string>)> done) {
    for (const auto& [pid, child] : processes_.children) {
      const auto& ports = child.options.listen_descriptors;
      if (std::find(ports.begin(), ports.end(), to.port) == ports.end() || child.hangs) continue;
      if (path == "/v2/health/ready" && loop_.Now() < child.ready_at) break;
      return loop_.Post([done = std::move(done)]() mutable {
        done(std::string("nv_inference_queue_duration_us 0\nnv_inference_request_success 0\n"));
      });
    }
    loop_.RunAfter(time_max / 4,
                   [done = std::move(done)]() mutable { done(Unavailable("not yet")); });
  }

  void Load(uint64_t in_flight, Duration duration) {
    traffic_.traffic.in_flight = in_flight;
    loop_.RunFor(duration);
  }

  int FirstPid() const { return processes_.children.begin()->first; }

  FakeLoop loop_;
  FakeProcesses processes_{loop_};
  FakeTraffic traffic_;
  UpConfig config_;
  uint16_t last_port_ = 40000;
  std::vector<std::string> lines_;
  bool grpc_ = true;
  bool finished_ = false;
  Result<std::vector<Slot>> found_ = std::vector<Slot>();  // At the start none: slots of CPU.
  std::unique_ptr<Supervisor> supervisor_;
};

TEST_F(SupervisorTest, FollowsTheLoadUpAndDown) {
  Start();
  Load(0, 3s);
  EXPECT_EQ(supervisor_->ready(), 1);
  Load(12, 6s);
  EXPECT_EQ(supervisor_->ready(), 3);
  EXPECT_THAT(lines_, Contains(HasSubstr("→3: in flight")));
  Load(28, 20s);  // Four more in 15 s are allowed, then the rest.
  EXPECT_EQ(supervisor_->ready(), 7);
  EXPECT_EQ(traffic_.endpoints.size(), 7u);
  Load(0, 16s);
  EXPECT_THAT(lines_, Contains(HasSubstr("→1: in flight 0 < 4 per replica")));
  EXPECT_EQ(traffic_.drains.size(), 6u);
  EXPECT_EQ(processes_.children.size(), 7u) << "stopped before it was drained";
  traffic_.FinishDrains();
  loop_.RunFor(1s);
  EXPECT_EQ(processes_.children.size(), 1u);
  EXPECT_EQ(traffic_.endpoints.size(), 1u);
}

TEST_F(SupervisorTest, HandsOverSocketsAndALog) {
  Start();
  loop_.RunFor(2s);
  const env::ProcessOptions& options = processes_.children.begin()->second.options;
  EXPECT_EQ(options.program, "/bin/tepal");
  EXPECT_EQ(options.log_path, "logs/replica-0.log");
  ASSERT_EQ(options.listen_descriptors.size(), 3u);
  EXPECT_EQ(traffic_.endpoints.begin()->second,
            Concat("replica-0 127.0.0.1:", options.listen_descriptors[0]));
  EXPECT_EQ(traffic_.grpc_ports.begin()->second, options.listen_descriptors[2]);
}

TEST_F(SupervisorTest, WithoutGrpcThereIsNoSocketForIt) {
  grpc_ = false;
  Start();
  loop_.RunFor(2s);
  EXPECT_EQ(processes_.children.begin()->second.options.listen_descriptors.size(), 2u);
  EXPECT_EQ(traffic_.endpoints.size(), 1u);
  EXPECT_TRUE(traffic_.grpc_ports.empty());
}

TEST_F(SupervisorTest, AKilledReplicaLosesItsTrafficAtOnceAndComesBack) {
  Start();
  loop_.RunFor(2s);
  processes_.Exit(FirstPid(), {true, SIGKILL});
  EXPECT_TRUE(traffic_.endpoints.empty());
  EXPECT_THAT(lines_, Contains(HasSubstr("died while ready: killed by signal 9 (SIGKILL)")));
  loop_.RunFor(2s);
  EXPECT_EQ(supervisor_->ready(), 1);
  EXPECT_EQ(traffic_.endpoints.size(), 1u);
}

TEST_F(SupervisorTest, AReplicaThatGivesUpSaysWhy) {
  Start();
  processes_.Exit(FirstPid(), {false, 1});
  EXPECT_THAT(lines_, Contains("replica 0 (process 1001) died while starting: exit code 1; see "
                               "logs/replica-0.log"));
  EXPECT_THAT(lines_, Contains("  it said: the end of logs/replica-0.log"));
}

TEST_F(SupervisorTest, ASilentReplicaIsReplaced) {
  Start();
  loop_.RunFor(2s);
  const int pid = FirstPid();
  processes_.children[pid].hangs = true;
  loop_.RunFor(kSilenceMax - 2s);
  EXPECT_TRUE(processes_.children.contains(pid));
  loop_.RunFor(6s);
  EXPECT_FALSE(processes_.children.contains(pid));
  EXPECT_THAT(lines_, Contains(HasSubstr("has not answered for 15.0 s")));
  EXPECT_EQ(supervisor_->ready(), 1);
}

TEST_F(SupervisorTest, WhatCannotBeStartedIsTriedAgain) {
  processes_.refuses = true;
  Start();
  loop_.RunFor(5s);
  EXPECT_THAT(lines_, Contains("replica 0 cannot be started: no such program"));
  EXPECT_LT(lines_.size(), 8u) << "without back-off";
  processes_.refuses = false;
  loop_.RunFor(10s);
  EXPECT_EQ(supervisor_->ready(), 1);
}

TEST_F(SupervisorTest, StopDrainsFirst) {
  Start();
  Load(8, 5s);
  EXPECT_EQ(supervisor_->ready(), 2);
  supervisor_->Stop();
  loop_.RunFor(1s);
  EXPECT_TRUE(processes_.signals.empty());
  EXPECT_EQ(traffic_.drains.size(), 2u);
  EXPECT_FALSE(finished_);
  traffic_.FinishDrains();
  loop_.RunFor(1s);
  EXPECT_TRUE(finished_);
  for (const auto& [pid, number] : processes_.signals) EXPECT_EQ(number, SIGTERM);
}

std::vector<Slot> Devices(const std::string& kind, int count) {
  std::vector<Slot> slots;
  for (int i = 0; i < count; ++i) {
    const std::string uuid = Concat("MIG-", kind, i);
    slots.push_back({.id = uuid, .name = Concat(kind, " ", i), .device = uuid, .gpu = 0});
  }
  return slots;
}

TEST_F(SupervisorTest, EachReplicaSeesTheDeviceOfItsSlot) {
  found_ = Devices("a", 3);
  Start();
  Load(12, 6s);
  EXPECT_EQ(supervisor_->ready(), 3);
  std::vector<std::string> visible;
  for (const auto& [pid, child] : processes_.children) {
    ASSERT_EQ(child.options.environment.size(), 1u);
    EXPECT_EQ(child.options.environment[0].first, "CUDA_VISIBLE_DEVICES");
    visible.push_back(child.options.environment[0].second);
  }
  EXPECT_THAT(visible, ::testing::UnorderedElementsAre("MIG-a0", "MIG-a1", "MIG-a2"));
  Load(100, 20s);
  EXPECT_EQ(supervisor_->desired(), 3) << "more than there are slots for";
}

TEST_F(SupervisorTest, ARebootTakesTheDevicesAndNewOnesBringTheReplicasBack) {
  found_ = Devices("a", 3);
  Start();
  Load(12, 6s);
  EXPECT_EQ(supervisor_->ready(), 3);
  found_ = std::vector<Slot>();  // The reboot: no MIG device, no replica can run.
  loop_.RunFor(kLookPeriod + 1s);
  EXPECT_THAT(lines_, Contains(HasSubstr("3 slots (a 0, …) are gone: what runs there is drained")));
  EXPECT_EQ(traffic_.drains.size(), 3u);
  traffic_.FinishDrains();
  loop_.RunFor(5s);
  EXPECT_TRUE(processes_.children.empty());
  EXPECT_EQ(supervisor_->desired(), 3) << "who has lost slots wants them back";
  found_ = Devices("b", 3);  // Partitioned again.
  loop_.RunFor(kLookPeriod + 3s);
  EXPECT_THAT(lines_, Contains("3 slots (b 0, …) are new"));
  EXPECT_EQ(supervisor_->ready(), 3);
  EXPECT_EQ(processes_.children.begin()->second.options.environment[0].second.substr(0, 5),
            "MIG-b");
}

TEST_F(SupervisorTest, WhoLosesOneDeviceGoesOnWithTheOthers) {
  found_ = Devices("a", 4);
  Start();
  Load(12, 6s);
  EXPECT_EQ(supervisor_->ready(), 3);
  const std::string device = processes_.children.begin()->second.options.environment[0].second;
  std::erase_if(*found_, [&](const Slot& slot) { return slot.id == device; });
  loop_.RunFor(kLookPeriod + 3s);
  // The fourth slot takes over, and the replica without a device is not killed but drained.
  EXPECT_EQ(supervisor_->ready(), 3);
  EXPECT_EQ(traffic_.drains.size(), 1u);
  EXPECT_EQ(processes_.children.size(), 4u);
}

TEST_F(SupervisorTest, ADriverThatDoesNotAnswerChangesNothing) {
  found_ = Devices("a", 2);
  Start();
  Load(8, 5s);
  found_ = Unavailable("the driver is being loaded");
  loop_.RunFor(10s);
  EXPECT_EQ(supervisor_->ready(), 2);
  EXPECT_EQ(std::count_if(
                lines_.begin(), lines_.end(),
                [](const std::string& line) { return line.find("the GPUs cannot be seen") == 0; }),
            1);
}

TEST_F(SupervisorTest, TellsItsStateAsJson) {
  config_.autoscaler.queue_time = MetricConfig{.target = 50, .window = 30s};
  Start();
  Load(8, 6s);
  const Result<json::Value> state = json::Parse(supervisor_->StateJson());
  ASSERT_TRUE(state.ok()) << supervisor_->StateJson();
  EXPECT_EQ(*state->Find("desired")->AsInt(), 2);
  EXPECT_EQ(*state->Find("replicas")->Find("ready")->AsInt(), 2);
  EXPECT_EQ(*state->Find("reason")->AsString(), "stays 2: in flight 4 ~ 4 per replica");
  const json::Value::Array& slots = *state->Find("slots")->AsArray();
  ASSERT_EQ(slots.size(), 7u);
  EXPECT_EQ(*slots[1].Find("state")->AsString(), "ready");
  EXPECT_EQ(*slots[1].Find("requests")->AsInt(), 200);
  EXPECT_EQ(slots[2].Find("pid"), nullptr);
  EXPECT_EQ(state->Find("metrics")->AsArray()->size(), 2u);
}

}  // namespace
}  // namespace tepal::supervisor
