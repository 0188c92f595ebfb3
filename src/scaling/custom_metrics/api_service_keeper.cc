#include "scaling/custom_metrics/api_service_keeper.h"

#include <utility>

#include "core/base/text.h"
#include "core/telemetry/log.h"

namespace tepal::custom_metrics {
namespace {

const kube::Resource kApiServices{"apiregistration.k8s.io", "v1", "apiservices", false};

}  // namespace

struct ApiServiceKeeper::State : std::enable_shared_from_this<State> {
  using Kind = ApiServiceStep::Kind;
  struct Kept {
    ApiServiceWish wish;
    env::EventLoop::TimerId timer = 0;
    std::string said;  // What the log says of it last.
  };

  State(env::EventLoop& on_loop, kube::Client& with_client, Options with)
      : loop(on_loop), client(with_client), options(with) {}

  void Look(size_t which) {
    kept[which].timer = 0;
    client.Get({kApiServices, "", kept[which].wish.name(), ""},
               [weak = weak_from_this(), which](kube::Answer answer) {
                 if (const auto self = weak.lock()) self->OnFound(which, answer);
               });
  }

  void OnFound(size_t which, const kube::Answer& answer) {
    if (!answer.ok() && answer.http_status != 404) {
      Say(which, Concat("APIService ", kept[which].wish.name(), ": ", answer.status.message()));
      return Again(which, options.retry);
    }
    const ApiServiceStep step = Decide(answer.ok() ? &answer.body : nullptr, kept[which].wish);
    switch (step.kind) {
      case Kind::kNone:
        kept[which].said.clear();
        break;
      case Kind::kMissing:
        Say(which, step.says);
        break;
      case Kind::kCreate:
        return client.Create({kApiServices, ""}, step.object, Done(which, "made"));
      case Kind::kPatch:
        return client.Patch({kApiServices, "", kept[which].wish.name(), ""},
                            kube::PatchKind::kMerge, step.object,
                            Done(which, "brought up to date"));
      case Kind::kRefused:
        if (Say(which, step.says) && on_refused) on_refused(step.says);
        break;
    }
    Again(which, options.interval);
  }

  kube::Client::Done Done(size_t which, std::string_view what) {
    return [weak = weak_from_this(), which, what](const kube::Answer& answer) {
      const auto self = weak.lock();
      if (self == nullptr) return;
      const std::string name = self->kept[which].wish.name();
      if (answer.ok()) {
        self->kept[which].said.clear();
        telemetry::LogInfo(Concat("APIService ", name, " was ", what));
        return self->Again(which, self->options.interval);
      }
      // Another replica was faster.
      const bool raced = answer.http_status == 409;
      if (!raced) self->Say(which, Concat("APIService ", name, ": ", answer.status.message()));
      self->Again(which, raced ? 1s : self->options.retry);
    };
  }

  void Again(size_t which, Duration after) {
    kept[which].timer = loop.RunAfter(after, [this, which] { Look(which); });
  }

  // Whether it is news.
  bool Say(size_t which, const std::string& what) {
    if (kept[which].said == what) return false;
    kept[which].said = what;
    telemetry::LogWarning(what);
    return true;
  }

  env::EventLoop& loop;
  kube::Client& client;
  const Options options;
  std::vector<Kept> kept;
  Function<void(const std::string&)> on_refused;
};

ApiServiceKeeper::ApiServiceKeeper(env::EventLoop& loop, kube::Client& client,
                                   std::vector<ApiServiceWish> wishes, Options options)
    : state_(std::make_shared<State>(loop, client, options)) {
  for (ApiServiceWish& wish : wishes) state_->kept.push_back({std::move(wish), 0, ""});
}

ApiServiceKeeper::~ApiServiceKeeper() {
  for (State::Kept& one : state_->kept) {
    if (one.timer != 0) state_->loop.Cancel(one.timer);
  }
}

void ApiServiceKeeper::Start(Function<void(const std::string&)> on_refused) {
  state_->on_refused = std::move(on_refused);
  for (size_t i = 0; i < state_->kept.size(); ++i) state_->Look(i);
}

void ApiServiceKeeper::SetCa(const std::string& pem) {
  for (size_t i = 0; i < state_->kept.size(); ++i) {
    state_->kept[i].wish.ca = pem;
    // One that is being looked at comes to it by itself.
    if (state_->kept[i].timer == 0) continue;
    state_->loop.Cancel(state_->kept[i].timer);
    state_->Look(i);
  }
}

}  // namespace tepal::custom_metrics
