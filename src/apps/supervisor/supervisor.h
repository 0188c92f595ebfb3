// `tepal up`: replicas as processes, one a slot, as many as the load needs.
//
// A thin shell around replica_set.h and scaling/autoscaling: it starts and stops processes, gives
// them to the balancer and takes them away, asks how they are, asks the autoscaler, and does what
// both say. It opens no file, no socket and no clock itself: see Seams. Everything happens on one
// event loop.

#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "apps/supervisor/config.h"
#include "apps/supervisor/placement_preference.h"
#include "apps/supervisor/replica_process.h"
#include "apps/supervisor/replica_set.h"
#include "apps/supervisor/signals.h"
#include "apps/supervisor/slot_table.h"
#include "apps/supervisor/slots.h"
#include "apps/supervisor/traffic.h"
#include "core/env/cpu_groups.h"
#include "core/env/event_loop.h"
#include "scaling/autoscaling/autoscaler.h"

namespace tepal::json {
class Writer;
}

namespace tepal::supervisor {

// For rates and shares in the state.
inline constexpr Duration kRateWindow = 10s;

// A ready replica that has not answered for this long is killed and started again.
inline constexpr Duration kSilenceMax = 15s;

// Between two looks at which slots there are, where they can come and go.
inline constexpr Duration kLookPeriod = 2s;

using LookForSlots = Function<void(Function<void(Result<std::vector<Slot>>)> done)>;

class Supervisor {
 public:
  struct Options {
    UpConfig config;
    SlotPlan slots;       // Those there are at the start; `config.replicas.slots` is the most.
    std::string program;  // The `tepal` that replicas run.
    std::vector<std::string> serve_arguments;  // "serve", "--model-repository=…", …
    std::string log_directory;                 // replica-<slot>.log go there.
    bool grpc = true;                          // Whether replicas serve gRPC.
  };
  struct Seams {
    env::EventLoop& loop;
    env::ProcessStarter& processes;
    TrafficControl& traffic;
    env::CpuGroups* groups;  // Null when slots have no quota.
    BindListener bind;
    Fetch fetch;
    // The last line of a log, for the message about a replica that died; may be empty.
    Function<std::string(const std::string& path)> last_line;
    Function<void(std::string_view)> tell;  // One line for people about what has just happened.
    Function<void()> on_finished;           // After Stop: every process has gone.
    // Which slots there are now: `done` runs once, on the loop, never inside the call. Null: those
    // of the start, for ever.
    LookForSlots look = {};
  };

  Supervisor(Options options, Seams seams);
  ~Supervisor();  // Finished, or never started.

  void Start();

  // Drains and stops every replica; a second call kills them.
  void Stop();

  // The state as one line of JSON, for `--json`, the dashboard and the demo.
  std::string StateJson() const;

  int ready() const { return set_.Count(ReplicaState::kReady); }
  int desired() const { return set_.desired(); }
  bool stopping() const { return stopping_; }

 private:
  using Action = ReplicaSet::Action;

  // One step: does what the set asks for, and sets the timer for its next deadline.
  void Step();
  void Do(const Action& action);
  void StartReplica(const Action& action);
  void Admit(ReplicaProcess& replica);
  void OnExit(ReplicaId id, env::ProcessExit exit);

  // Rounds.
  void Look();
  void OnLook(const Result<std::vector<Slot>>& found);
  void TakeSlots(std::span<const Slot> found);
  std::string NamesOf(std::span<const int> slots) const;
  void Sample();
  void AskReplicas();
  void Ask(ReplicaProcess& replica, bool starting);
  void OnAnswer(ReplicaId id, bool starting, const Result<std::string>& answer);
  void Decide();
  void Every(Duration period, void (Supervisor::*round)(), env::EventLoop::TimerId& timer);

  void WriteShares(json::Writer& out, Instant now) const;
  void WriteSlots(json::Writer& out, Instant now) const;
  void WriteSlot(json::Writer& out, size_t index, Instant now) const;

  ReplicaProcess* Find(ReplicaId id);
  ReplicaState StateOf(const ReplicaProcess& replica) const;
  std::string NameOf(const ReplicaProcess& replica) const;
  std::string LogOf(int slot) const;
  void Tell(std::string_view line) { seams_.tell(line); }

  Options options_;
  Seams seams_;
  SlotTable table_;
  PlacementPreference preference_{table_};
  ReplicaSet set_;
  autoscaling::Autoscaler autoscaler_;
  Signals signals_;
  std::map<ReplicaId, ReplicaProcess> replicas_;
  std::string reason_ = "starting";
  std::vector<autoscaling::MetricReading> readings_;
  TrafficReading traffic_;
  std::map<EndpointId, autoscaling::CounterWindow> shares_;  // Requests of each endpoint.
  autoscaling::CounterWindow answered_;
  Instant begun_{};
  bool finished_ = false;
  bool stopping_ = false;
  bool looking_ = false;
  bool blind_ = false;  // The last look failed.
  env::EventLoop::TimerId step_timer_ = 0;
  env::EventLoop::TimerId sample_timer_ = 0;
  env::EventLoop::TimerId ask_timer_ = 0;
  env::EventLoop::TimerId decide_timer_ = 0;
  env::EventLoop::TimerId look_timer_ = 0;
  // Answers that come after the end find nobody.
  std::shared_ptr<Supervisor*> self_;
};

}  // namespace tepal::supervisor
