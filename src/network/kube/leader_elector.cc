#include "network/kube/leader_elector.h"

#include <utility>

#include "core/json/writer.h"
#include "network/kube/time_text.h"

namespace tepal::kube {
namespace {

LeaseRecord RecordOf(const json::Value& lease) {
  LeaseRecord record;
  record.holder = TextAt(lease, "spec", "holderIdentity");
  record.acquired_at = TextAt(lease, "spec", "acquireTime");
  record.resource_version = ResourceVersionOf(lease);
  if (const json::Value* spec = lease.Find("spec")) {
    const json::Value* transitions = spec->Find("leaseTransitions");
    if (transitions != nullptr && transitions->AsInt() != nullptr) {
      record.transitions = *transitions->AsInt();
    }
  }
  return record;
}

}  // namespace

struct LeaderElector::State : std::enable_shared_from_this<State> {
  State(env::EventLoop& on_loop, Client& with_client, Lease of, LeaderElection::Options with)
      : loop(on_loop),
        client(with_client),
        lease(std::move(of)),
        options(with),
        election(std::move(with)) {}

  // After anything: says what changed, begins the next step, and comes back in time.
  void Go() {
    if (stopped) return;
    const LeaderElection::Step step = election.NextStep(loop.Now());
    Tell();
    if (stopped) return;
    if (step.kind == LeaderElection::Step::Kind::kRead) Read();
    if (step.kind == LeaderElection::Step::Kind::kWrite) Write(step);
    if (timer != 0) loop.Cancel(std::exchange(timer, 0));
    if (const auto when = election.NextDeadline()) {
      timer = loop.RunAt(*when, [this] {
        timer = 0;
        Go();
      });
    }
    if (election.resigned()) Resigned();
  }

  void Tell() {
    const bool now_leading = election.leading(loop.Now());
    if (now_leading == told) return;
    told = now_leading;
    if (on_change) on_change(now_leading);
  }

  void Read() {
    client.Get(Ref(), [weak = weak_from_this()](Answer answer) {
      const auto self = weak.lock();
      if (self == nullptr || self->stopped) return;
      const Instant now = self->loop.Now();
      if (answer.ok()) {
        self->election.OnRead(RecordOf(answer.body), now);
      } else if (answer.http_status == 404) {
        self->election.OnRead(std::nullopt, now);
      } else {
        self->election.OnReadFailed(now);
      }
      self->Go();
    });
  }

  void Write(const LeaderElection::Step& step) {
    auto done = [weak = weak_from_this()](Answer answer) {
      const auto self = weak.lock();
      if (self == nullptr || self->stopped) return;
      if (answer.ok()) {
        self->election.OnWritten(std::string(ResourceVersionOf(answer.body)), self->loop.Now());
      } else {
        self->election.OnWriteFailed(self->loop.Now());
      }
      self->Go();
    };
    const std::string text = TextOf(step);
    if (step.create) return client.Create({kLeases, lease.name_space}, text, std::move(done));
    client.Update(Ref(), text, std::move(done));
  }

  std::string TextOf(const LeaderElection::Step& step) const {
    const std::string now = MicroTimeText(loop.WallNow());
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(options.lease_duration);
    json::Writer out;
    out.BeginObject().Key("apiVersion").String("coordination.k8s.io/v1");
    out.Key("kind").String("Lease").Key("metadata").BeginObject();
    out.Key("name").String(lease.name).Key("namespace").String(lease.name_space);
    if (!step.create) out.Key("resourceVersion").String(step.record.resource_version);
    out.EndObject().Key("spec").BeginObject();
    out.Key("holderIdentity").String(step.record.holder);
    out.Key("leaseDurationSeconds").Int(seconds.count());
    out.Key("leaseTransitions").Int(step.record.transitions).Key("acquireTime");
    out.String(step.take_over || step.record.acquired_at.empty() ? now : step.record.acquired_at);
    out.Key("renewTime").String(now).EndObject().EndObject();
    return out.Take();
  }

  ObjectRef Ref() const { return {kLeases, lease.name_space, lease.name, {}}; }

  void Resigned() {
    if (give_up_timer != 0) loop.Cancel(std::exchange(give_up_timer, 0));
    if (on_resigned) std::exchange(on_resigned, nullptr)();
  }

  void Stop() {
    stopped = true;
    if (timer != 0) loop.Cancel(std::exchange(timer, 0));
    if (give_up_timer != 0) loop.Cancel(std::exchange(give_up_timer, 0));
  }

  env::EventLoop& loop;
  Client& client;
  const Lease lease;
  const LeaderElection::Options options;
  LeaderElection election;
  Function<void(bool)> on_change;
  Function<void()> on_resigned;
  bool told = false;
  bool stopped = false;
  env::EventLoop::TimerId timer = 0;
  env::EventLoop::TimerId give_up_timer = 0;
};

LeaderElector::LeaderElector(env::EventLoop& loop, Client& client, Lease lease,
                             LeaderElection::Options options)
    : state_(std::make_shared<State>(loop, client, std::move(lease), std::move(options))) {}

LeaderElector::~LeaderElector() { state_->Stop(); }

void LeaderElector::Start(Function<void(bool)> on_change) {
  state_->on_change = std::move(on_change);
  state_->Go();
}

bool LeaderElector::leading() const { return state_->election.leading(state_->loop.Now()); }

void LeaderElector::Resign(Function<void()> done) {
  State* const state = state_.get();
  state->on_resigned = std::move(done);
  state->election.Resign(state->loop.Now());
  state->give_up_timer = state->loop.RunAfter(state->options.renew_deadline, [state] {
    state->give_up_timer = 0;
    state->Resigned();
  });
  // In a turn of its own, so that `done` does not run inside this call.
  state->loop.Post([weak = state->weak_from_this()] {
    if (const auto self = weak.lock()) self->Go();
  });
}

}  // namespace tepal::kube
