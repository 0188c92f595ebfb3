#include "partitioning/node_agent/repartition.h"

#include <utility>

#include "core/base/check.h"
#include "core/base/text.h"
#include "core/json/writer.h"

namespace tepal::node_agent {
namespace {

constexpr std::string_view kPausable[] = {"device-plugin", "gpu-feature-discovery", "dcgm-exporter",
                                          "dcgm", "nvsm"};
constexpr size_t kReasonBytesMax = 1000;

// "device-plugin=true,dcgm=true", and back.
std::string TextOf(const std::map<std::string, std::string>& clients) {
  std::string text;
  for (const auto& [label, value] : clients) {
    text += Concat(text.empty() ? "" : ",", label.substr(kClientPrefix.size()), "=", value);
  }
  return text;
}

std::map<std::string, std::string> ClientsOf(std::string_view text) {
  std::map<std::string, std::string> clients;
  for (const std::string_view pair : Split(text, ',')) {
    const size_t equals = pair.find('=');
    if (equals == std::string_view::npos || equals == 0) continue;
    clients[Concat(kClientPrefix, pair.substr(0, equals))] = pair.substr(equals + 1);
  }
  return clients;
}

void WriteTexts(json::Writer& out, std::string_view key,
                const std::map<std::string, std::optional<std::string>>& texts) {
  if (texts.empty()) return;
  out.Key(key).BeginObject();
  for (const auto& [name, value] : texts) {
    out.Key(name);
    value ? out.String(*value) : out.Null();
  }
  out.EndObject();
}

}  // namespace

NodeView ViewOf(const json::Value& node) {
  const auto text = [](const std::string* found) {
    return found == nullptr ? std::string() : *found;
  };
  NodeView view;
  view.config = text(kube::LabelOf(node, kConfigLabel));
  view.state = text(kube::LabelOf(node, kStateLabel));
  view.reason = text(kube::AnnotationOf(node, kReasonAnnotation));
  if (const std::string* paused = kube::AnnotationOf(node, kPausedAnnotation))
    view.paused = *paused;
  for (const std::string_view name : kPausable) {
    const std::string label = Concat(kClientPrefix, name);
    if (const std::string* value = kube::LabelOf(node, label)) view.clients[label] = *value;
  }
  return view;
}

std::string MergePatchOf(const NodePatch& patch) {
  json::Writer out;
  out.BeginObject().Key("metadata").BeginObject();
  WriteTexts(out, "labels", patch.labels);
  WriteTexts(out, "annotations", patch.annotations);
  out.EndObject().EndObject();
  return out.Take();
}

// What was written down before stays: it is older, so it is the truth.
NodePatch Repartition::PausePatch() const {
  NodePatch patch;
  std::map<std::string, std::string> paused = ClientsOf(node_->paused.value_or(""));
  for (const auto& [label, value] : node_->clients) {
    if (value == "true") {
      patch.labels[label] = std::string(kPausedValue);
      paused.emplace(label, value);
    } else if (value == kPausedValue) {
      paused.emplace(label, "true");
    }
  }
  if (!paused.empty()) patch.annotations[std::string(kPausedAnnotation)] = TextOf(paused);
  if (node_->state != "pending") patch.labels[std::string(kStateLabel)] = "pending";
  return patch;
}

NodePatch Repartition::EndPatch(std::string_view state, const std::string& reason) const {
  NodePatch patch;
  const std::map<std::string, std::string> paused = ClientsOf(node_->paused.value_or(""));
  for (const auto& [label, value] : node_->clients) {
    if (value != kPausedValue) continue;  // Somebody has decided otherwise meanwhile.
    const auto before = paused.find(label);
    patch.labels[label] = before == paused.end() ? "true" : before->second;
  }
  if (node_->paused) patch.annotations[std::string(kPausedAnnotation)] = std::nullopt;
  if (!state.empty() && node_->state != state)
    patch.labels[std::string(kStateLabel)] = std::string(state);
  if (node_->reason != reason) {
    auto& text = patch.annotations[std::string(kReasonAnnotation)];
    if (!reason.empty()) text = reason;
  }
  return patch;
}

void Repartition::End(std::string_view state, std::string reason) {
  phase_ = Phase::kEnding;
  end_state_ = state;
  end_reason_ = reason.substr(0, kReasonBytesMax);
}

void Repartition::Retry(Instant now) {
  done_for_.reset();
  not_before_ = now + backoff_.Next();
}

Repartition::Action Repartition::NextAction(Instant now) {
  if (!node_ || busy_) return {};
  if (phase_ == Phase::kIdle) {
    // A new wish need not wait for the retry of an old one.
    if (not_before_ && node_->config != config_) not_before_.reset();
    if (not_before_ && now < *not_before_) return {};
    const bool left_paused = node_->paused.has_value();
    if (!left_paused && (node_->config.empty() || done_for_ == node_->config)) return {};
    config_ = node_->config;
    not_before_.reset();
    if (config_.empty()) {
      End({}, {});
    } else {
      phase_ = Phase::kChecking;
    }
  }
  if (not_before_ && now < *not_before_) return {};
  not_before_.reset();

  Action action;
  action.config = config_;
  switch (phase_) {
    case Phase::kIdle:
      return {};
    case Phase::kChecking:
      action.kind = Action::Kind::kCheck;
      break;
    case Phase::kPausing:
      action.kind = Action::Kind::kPatch;
      action.patch = PausePatch();
      break;
    case Phase::kClients:
      action.kind = Action::Kind::kClients;
      break;
    case Phase::kApplying:
      action.kind = Action::Kind::kApply;
      break;
    case Phase::kRollingBack:
      action.kind = Action::Kind::kRollBack;
      break;
    case Phase::kRebooting:
      if (node_->state == "rebooting") {
        action.kind = Action::Kind::kReboot;
      } else {
        action.kind = Action::Kind::kPatch;
        action.patch.labels[std::string(kStateLabel)] = "rebooting";
      }
      break;
    case Phase::kEnding:
      action.kind = Action::Kind::kPatch;
      action.patch = EndPatch(end_state_, end_reason_);
      break;
  }
  busy_ = true;
  if (action.kind == Action::Kind::kPatch && action.patch.empty()) {
    OnPatched(true, now);  // It is so already.
    return NextAction(now);
  }
  return action;
}

std::optional<Instant> Repartition::NextDeadline() const {
  return busy_ ? std::nullopt : not_before_;
}

void Repartition::OnChecked(Check check, const Status& why, Instant now) {
  TEPAL_CHECK(phase_ == Phase::kChecking && busy_);
  busy_ = false;
  switch (check) {
    case Check::kApplied:
      return End("success", {});
    case Check::kInvalid:
      return End("failed", why.message());
    case Check::kDiffers:
      phase_ = Phase::kPausing;
      return;
    case Check::kFailed:
      // The driver cannot be asked: clients are not kept waiting for it.
      End("failed", why.message());
      (void)now;
  }
}

void Repartition::OnPatched(bool done, Instant now) {
  TEPAL_CHECK(busy_);
  busy_ = false;
  if (!done) {
    not_before_ = now + backoff_.Next();
    return;  // The same again: a restore is never given up.
  }
  if (phase_ == Phase::kPausing) {
    phase_ = node_->paused && !node_->paused->empty() ? Phase::kClients : Phase::kApplying;
    clients_until_ = now + options_.clients_stop_max;
    return;
  }
  if (phase_ != Phase::kEnding) return;
  phase_ = Phase::kIdle;
  if (end_state_ == "failed") return Retry(now);
  backoff_.Reset();
  done_for_ = config_;
}

void Repartition::OnClients(std::optional<int> running, Instant now) {
  TEPAL_CHECK(phase_ == Phase::kClients && busy_);
  busy_ = false;
  if (running == 0) {
    phase_ = Phase::kApplying;
  } else if (now >= clients_until_) {
    End("failed", running ? Concat(*running, " pods of paused GPU clients have not stopped")
                          : std::string("the pods of paused GPU clients cannot be listed"));
  } else {
    not_before_ = now + options_.poll;
  }
}

void Repartition::OnApplied(const Applied& applied, Instant now) {
  TEPAL_CHECK(phase_ == Phase::kApplying && busy_);
  busy_ = false;
  (void)now;
  if (!applied.status.ok()) {
    end_reason_ = applied.status.message();
    if (applied.changed) {
      phase_ = Phase::kRollingBack;
      return;
    }
    return End("failed", applied.status.message());
  }
  if (!applied.waits_for_reboot) return End("success", {});
  if (!options_.may_reboot) {
    return End("failed", "a GPU waits for a reset or a reboot of the node");
  }
  phase_ = Phase::kRebooting;
}

void Repartition::OnRolledBack(const Status& why, Instant now) {
  TEPAL_CHECK(busy_);
  busy_ = false;
  (void)now;
  if (phase_ == Phase::kRebooting) return End("failed", why.message());
  std::string reason = std::move(end_reason_);
  if (!why.ok()) reason += Concat("; going back failed too: ", why.message());
  End("failed", std::move(reason));
}

}  // namespace tepal::node_agent
