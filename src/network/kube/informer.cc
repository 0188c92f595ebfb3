#include "network/kube/informer.h"

#include <utility>

namespace tepal::kube {

// Callbacks of the client hold it weakly: the informer may go while a list is on its way.
struct Informer::State : std::enable_shared_from_this<State> {
  State(env::EventLoop& on_loop, Client& with_client, env::Random& random, Collection of,
        Selectors selected, Reflector::Options options)
      : loop(on_loop),
        client(with_client),
        collection(std::move(of)),
        selectors(std::move(selected)),
        reflector(options, random) {}

  void Go() {
    if (stopped) return;
    const Reflector::Step step = reflector.NextStep(loop.Now());
    switch (step.kind) {
      case Reflector::Step::Kind::kList:
        return List();
      case Reflector::Step::Kind::kWatch:
        return Watch(step.resource_version);
      case Reflector::Step::Kind::kNone:
        if (const auto when = reflector.NextDeadline(); when && timer == 0) {
          timer = loop.RunAt(*when, [this] {
            timer = 0;
            Go();
          });
        }
    }
  }

  void List() {
    client.List(collection, selectors, [weak = weak_from_this()](Answer answer, ObjectList list) {
      if (const auto self = weak.lock()) self->OnList(answer, std::move(list));
    });
  }

  void OnList(const Answer& answer, ObjectList list) {
    if (stopped) return;
    if (!answer.ok()) {
      reflector.OnListFailed(answer, loop.Now());
      Trouble(answer.status);
      return Go();
    }
    for (json::Value& object : list.objects) {
      if (calls.keep) object = calls.keep(std::move(object));
    }
    const bool first = !reflector.synced();
    const std::vector<Change> changes =
        reflector.OnList(std::move(list.objects), std::move(list.resource_version), loop.Now());
    for (const Change& change : changes) {
      if (!stopped) calls.on_change(change);
    }
    if (first && !stopped && calls.on_synced) calls.on_synced();
    Go();
  }

  void Watch(const std::string& from) {
    watching = client.Watch(
        collection, selectors, from,
        [this](WatchEvent event) {
          const std::shared_ptr<State> alive = shared_from_this();
          const bool is_change =
              event.type != WatchEvent::Type::kBookmark && event.type != WatchEvent::Type::kError;
          if (is_change && calls.keep) event.object = calls.keep(std::move(event.object));
          const auto change = reflector.OnEvent(std::move(event), loop.Now());
          if (change) calls.on_change(*change);
        },
        [this](Answer answer) {
          const std::shared_ptr<State> alive = shared_from_this();
          watching.reset();
          reflector.OnWatchEnd(answer, loop.Now());
          if (!answer.ok()) Trouble(answer.status);
          Go();
        });
  }

  void Trouble(const Status& why) {
    if (!stopped && calls.on_trouble) calls.on_trouble(why);
  }

  void Stop() {
    stopped = true;
    watching.reset();
    if (timer != 0) loop.Cancel(std::exchange(timer, 0));
  }

  env::EventLoop& loop;
  Client& client;
  const Collection collection;
  const Selectors selectors;
  Reflector reflector;
  Calls calls;
  std::unique_ptr<Client::Watching> watching;
  env::EventLoop::TimerId timer = 0;
  bool stopped = false;
};

Informer::Informer(env::EventLoop& loop, Client& client, env::Random& random, Collection collection,
                   Selectors selectors, Reflector::Options options)
    : state_(std::make_shared<State>(loop, client, random, std::move(collection),
                                     std::move(selectors), options)) {}

Informer::~Informer() { state_->Stop(); }

void Informer::Start(Calls calls) {
  state_->calls = std::move(calls);
  state_->Go();
}

bool Informer::synced() const { return state_->reflector.synced(); }
const std::map<std::string, Object>& Informer::objects() const {
  return state_->reflector.objects();
}

}  // namespace tepal::kube
