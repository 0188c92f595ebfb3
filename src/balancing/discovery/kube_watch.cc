#include "balancing/discovery/kube_watch.h"

#include <utility>

#include "core/base/text.h"
#include "core/telemetry/log.h"
#include "network/kube/informer.h"

namespace tepal::discovery {

struct KubeWatch::Watched {
  KubeService service;
  Function<void(const KubeFound&)> on_change;
  std::unique_ptr<kube::Informer> informer;
  KubeFound found;
  bool told = false;   // `found` is known to the owner.
  bool later = false;  // Look has been asked for.
  Counters counters;
};

KubeWatch::KubeWatch(env::EventLoop& loop, std::unique_ptr<kube::Client> client, uint64_t seed)
    : loop_(loop), client_(std::move(client)), random_(seed) {}

KubeWatch::~KubeWatch() {
  *alive_ = false;
  watched_.clear();
}

uint64_t KubeWatch::Add(KubeService service, Function<void(const KubeFound&)> on_change) {
  const uint64_t number = ++last_;
  if (service.name_space.empty()) service.name_space = client_->access().name_space;
  Watched& watched = *(watched_[number] = std::make_unique<Watched>());
  watched.service = std::move(service);
  watched.on_change = std::move(on_change);
  kube::Selectors selectors;
  selectors.labels = Concat("kubernetes.io/service-name=", watched.service.name);
  watched.informer = std::make_unique<kube::Informer>(
      loop_, *client_, random_, kube::Collection{kube::kEndpointSlices, watched.service.name_space},
      std::move(selectors), kube::Reflector::Options());
  watched.informer->Start(
      {[this, number](const kube::Change&) { Later(number); }, [this, number] { Later(number); },
       [this, number](const Status& why) {
         Watched& troubled = *watched_.at(number);
         ++troubled.counters.failed;
         if (troubled.counters.last_error == why.message()) return;
         troubled.counters.last_error = why.message();
         telemetry::LogWarning(Concat("balancer: Service '", troubled.service.name,
                                      "' keeps its endpoints: ", why.message()));
       }});
  return number;
}

void KubeWatch::Remove(uint64_t number) { watched_.erase(number); }

std::vector<std::pair<std::string, KubeWatch::Counters>> KubeWatch::Read() const {
  std::vector<std::pair<std::string, Counters>> all;
  for (const auto& [number, watched] : watched_) {
    all.emplace_back(Concat(watched->service.name_space, "/", watched->service.name),
                     watched->counters);
  }
  return all;
}

// Once for all changes of one turn: a first list may bring a hundred slices.
void KubeWatch::Later(uint64_t number) {
  Watched& watched = *watched_.at(number);
  if (std::exchange(watched.later, true)) return;
  loop_.Defer([this, alive = alive_, number] {
    if (*alive) Look(number);
  });
}

void KubeWatch::Look(uint64_t number) {
  const auto entry = watched_.find(number);
  if (entry == watched_.end()) return;
  Watched& watched = *entry->second;
  watched.later = false;
  if (!watched.informer->synced()) return;
  watched.counters.last_error.clear();
  KubeFound found = ReadEndpointSlices(watched.informer->objects(), watched.service);
  if (watched.told && found == watched.found) return;
  watched.told = true;
  ++watched.counters.changes;
  telemetry::LogInfo(Concat("balancer: Service '", watched.service.name, "': ",
                            found.endpoints.size(), " endpoints, ", found.not_ready, " not ready"));
  watched.found = std::move(found);
  // A copy: it may remove the Service.
  const KubeFound told = watched.found;
  watched.on_change(told);
}

}  // namespace tepal::discovery
