#include "balancing/discovery/file_watch.h"

#include <utility>

#include "core/base/text.h"

namespace tepal::discovery {

struct FileWatch::State : std::enable_shared_from_this<FileWatch::State> {
  State(const World& of, std::string file, Duration every, Function<void(Result<std::string>)> tell)
      : world(of), path(std::move(file)), interval(every), on_text(std::move(tell)) {}

  void Begin() {
    world.executor.Execute([self = shared_from_this()] { self->Look(); });
  }

  // On the executor; alone with `seen` until it posts.
  void Look() {
    const auto facts = world.files.Stat(path);
    const std::string now =
        facts.ok() ? Concat(facts->modified.time_since_epoch().count(), " ", facts->size)
                   : facts.status().message();
    std::shared_ptr<Result<std::string>> text;
    if (now != seen) {
      text = std::make_shared<Result<std::string>>(
          facts.ok() ? world.files.Read(path, kWatchedFileBytesMax) : facts.status());
      // What could not be read is read again the next time.
      seen = text->ok() || !facts.ok() ? now : std::string();
    }
    world.loop.Post([self = shared_from_this(), text] { self->End(text.get()); });
  }

  void End(Result<std::string>* text) {
    if (stopped) return;
    timer = world.loop.RunAfter(interval, [this] { Begin(); });
    if (text == nullptr) return;
    const std::string said = text->ok() ? **text : text->status().message();
    if (text->ok() == last_ok && said == last) return;
    last_ok = text->ok();
    last = said;
    on_text(std::move(*text));
  }

  const World world;
  const std::string path;
  const Duration interval;
  Function<void(Result<std::string>)> on_text;
  std::string seen;
  std::string last;
  bool last_ok = false;
  env::EventLoop::TimerId timer = 0;
  bool stopped = false;
};

FileWatch::FileWatch(const World& world, std::string path, Duration interval,
                     Function<void(Result<std::string>)> on_text)
    : state_(std::make_shared<State>(world, std::move(path), interval, std::move(on_text))) {
  state_->Begin();
}

FileWatch::~FileWatch() {
  state_->stopped = true;
  state_->world.loop.Cancel(state_->timer);
}

}  // namespace tepal::discovery
