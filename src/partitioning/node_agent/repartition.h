// How a node is brought to the MIG configuration that its label asks for: the decisions.
//
//   nvidia.com/mig.config        asks, by the name of a configuration
//   nvidia.com/mig.config.state  answers: pending, success, failed, rebooting
//   nvidia.com/gpu.deploy.*      GPU clients of the GPU operator: paused for the change, then
//   restored
//
// Clients are paused, and what they were is written down in an annotation, by one patch; they are
// restored by the patch that says how it ended. So whoever starts after a crash finds in the node
// itself what has to be restored, and does it whatever else fails. Labels that a manager before us
// left paused are restored too. A failed change is undone, said and tried again.
//
// The owner does one action at a time and says how it went. Clockless; one owner.

#pragma once

#include <map>
#include <optional>
#include <string>

#include "network/kube/api.h"
#include "network/kube/backoff.h"

namespace tepal::node_agent {

inline constexpr std::string_view kConfigLabel = "nvidia.com/mig.config";
inline constexpr std::string_view kStateLabel = "nvidia.com/mig.config.state";
inline constexpr std::string_view kClientPrefix = "nvidia.com/gpu.deploy.";
inline constexpr std::string_view kPausedValue = "paused-for-mig-change";
inline constexpr std::string_view kPausedAnnotation = "tepal.io/mig-paused-clients";
inline constexpr std::string_view kReasonAnnotation = "tepal.io/mig-config-reason";

// What of the node matters here.
struct NodeView {
  std::string config;
  std::string state;
  std::map<std::string, std::string> clients;  // Label -> value, of those that can be paused.
  std::optional<std::string> paused;           // The annotation.
  std::string reason;
};
NodeView ViewOf(const json::Value& node);

struct NodePatch {
  std::map<std::string, std::optional<std::string>> labels;  // Nothing: removed.
  std::map<std::string, std::optional<std::string>> annotations;
  bool empty() const { return labels.empty() && annotations.empty(); }
};
std::string MergePatchOf(const NodePatch& patch);

class Repartition {
 public:
  struct Options {
    Duration clients_stop_max = 300s;
    Duration poll = 2s;
    bool may_reboot = false;
    kube::Backoff::Options backoff = {5s, 300s};
  };
  struct Action {
    enum class Kind {
      kNone,
      kCheck,     // Is `config` valid, and applied? OnChecked.
      kPatch,     // `patch` on the node. OnNode with the answer, then OnPatched.
      kClients,   // How many pods of the paused clients still run? OnClients.
      kApply,     // `config`. OnApplied.
      kRollBack,  // To what was before the apply. OnRolledBack.
      kReboot,    // The node. OnRolledBack when that could not be begun.
    };
    Kind kind = Kind::kNone;
    std::string config;
    NodePatch patch;
  };
  enum class Check { kApplied, kDiffers, kInvalid, kFailed };

  Repartition(Options options, env::Random& random)
      : options_(options), backoff_(options.backoff, random) {}

  // The node as it is now; any time.
  void OnNode(NodeView node) { node_ = std::move(node); }
  // The configuration file has changed: what failed is tried again, what succeeded checked.
  void OnConfigFile() {
    done_for_.reset();
    if (phase_ == Phase::kIdle) not_before_.reset();
  }

  Action NextAction(Instant now);
  std::optional<Instant> NextDeadline() const;

  void OnChecked(Check check, const Status& why, Instant now);
  void OnPatched(bool done, Instant now);
  void OnClients(std::optional<int> running, Instant now);  // Nothing: not to be known now.
  struct Applied {
    Status status;
    bool changed = false;           // Something was done before it failed.
    bool waits_for_reboot = false;  // Done as far as can be.
  };
  void OnApplied(const Applied& applied, Instant now);
  void OnRolledBack(const Status& why, Instant now);

  // Nothing under way, nothing to restore.
  bool idle() const { return phase_ == Phase::kIdle && node_ && !node_->paused; }

 private:
  enum class Phase {
    kIdle,
    kChecking,
    kPausing,
    kClients,
    kApplying,
    kRollingBack,
    kEnding,
    kRebooting
  };

  NodePatch PausePatch() const;
  NodePatch EndPatch(std::string_view state, const std::string& reason) const;
  void End(std::string_view state, std::string reason);
  void Retry(Instant now);

  const Options options_;
  kube::Backoff backoff_;
  std::optional<NodeView> node_;
  Phase phase_ = Phase::kIdle;
  bool busy_ = false;                    // An action is in progress.
  std::string config_;                   // Being brought about.
  std::optional<std::string> done_for_;  // The last one that came to an end without need to retry.
  std::optional<Instant> not_before_;
  Instant clients_until_{};
  std::string end_state_, end_reason_;
};

}  // namespace tepal::node_agent
