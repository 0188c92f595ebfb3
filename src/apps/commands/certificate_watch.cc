#include "apps/commands/certificate_watch.h"

#include <utility>

#include "core/base/text.h"
#include "core/telemetry/log.h"

namespace tepal::commands {
namespace {

struct Watched {
  std::string name;
  std::shared_ptr<net::TlsSource> source;
  std::vector<std::string> paths;
  std::string seen;     // What the files looked like when they were last loaded.
  std::string problem;  // Why the last load failed; empty: it did not.
};

// Another text whenever a file has changed, has gone or has come back.
std::string LookAt(env::FileSystem& files, const std::vector<std::string>& paths) {
  std::string seen;
  for (const std::string& path : paths) {
    const auto facts = files.Stat(path);
    seen += facts.ok() ? Concat(facts->modified.time_since_epoch().count(), " ", facts->size, "\n")
                       : "absent\n";
  }
  return seen;
}

void Reload(Watched& watched) {
  const Status status = watched.source->Reload();
  if (status.ok()) {
    watched.problem.clear();
    telemetry::LogInfo(Concat("Loaded the certificate of ", watched.name, " again"));
    return;
  }
  if (status.message() == watched.problem) return;
  watched.problem = status.message();
  telemetry::LogError(
      Concat("The certificate of ", watched.name,
             " could not be loaded again, the old one stays in use: ", status.message()));
}

}  // namespace

struct CertificateWatch::State : std::enable_shared_from_this<CertificateWatch::State> {
  State(const World& of, Duration every) : world(of), interval(every) {}

  void Arm() {
    if (interval > Duration::zero() && timer == 0) {
      timer = world.loop.RunAfter(interval, [this] {
        timer = 0;
        Begin(false);
      });
    }
  }

  // Loop thread.
  void Begin(bool forced) {
    if (looking) {
      asked_again = asked_again || forced;
      return;
    }
    looking = true;
    world.executor.Execute([self = shared_from_this(), forced] {
      self->Look(forced);
      self->world.loop.Post([weak = std::weak_ptr<State>(self)] {
        if (const auto state = weak.lock()) state->End();
      });
    });
  }

  // Executor's thread; alone with `watched` while `looking` is set.
  void Look(bool forced) {
    for (Watched& one : watched) {
      // Before reading: what changes from now on is seen the next time.
      std::string seen = LookAt(world.files, one.paths);
      const bool changed = seen != one.seen;
      one.seen = std::move(seen);
      if (forced) one.problem.clear();  // Who asks is told, though it is nothing new.
      if (forced || changed || !one.problem.empty()) Reload(one);
    }
  }

  void End() {
    looking = false;
    if (stopped) return;
    if (std::exchange(asked_again, false)) return Begin(true);
    Arm();
  }

  const World world;
  const Duration interval;
  std::vector<Watched> watched;
  env::EventLoop::TimerId timer = 0;
  bool looking = false;
  bool asked_again = false;
  bool stopped = false;
};

CertificateWatch::CertificateWatch(const World& world, Duration interval)
    : state_(std::make_shared<State>(world, interval)) {}

CertificateWatch::~CertificateWatch() {
  state_->stopped = true;
  if (state_->timer != 0) state_->world.loop.Cancel(state_->timer);
}

Result<std::shared_ptr<net::TlsSource>> CertificateWatch::Add(std::string name,
                                                              std::vector<std::string> paths,
                                                              Open open) {
  std::string seen = LookAt(state_->world.files, paths);
  ASSIGN_OR_RETURN(std::shared_ptr<net::TlsSource> source, open());
  state_->watched.push_back({std::move(name), source, std::move(paths), std::move(seen), ""});
  return source;
}

bool CertificateWatch::empty() const { return state_->watched.empty(); }

void CertificateWatch::Start() {
  if (!empty()) state_->Arm();
}

void CertificateWatch::ReloadNow() { state_->Begin(true); }

}  // namespace tepal::commands
