// A copy of a collection on this machine, kept true: reflector.h with a client under it.
//
//   kube::Informer slices(loop, *client, random, {kube::kEndpointSlices, "default"}, {.labels =
//                         "kubernetes.io/service-name=web"}, {});
//   slices.Start({.on_change = [&](const kube::Change& change) { ... },
//                 .on_synced = [&] { ... },
//                 .on_trouble = [&](const Status& why) { log; }});
//
// Changes come one by one, in order, on the loop; `objects()` has them already. `on_synced` comes
// once, after the changes of the first list. While the API server cannot be reached nothing
// changes. Destroying the informer, also in a call of its own, ends it.

#pragma once

#include <memory>

#include "network/kube/client.h"
#include "network/kube/reflector.h"

namespace tepal::kube {

class Informer {
 public:
  struct Calls {
    Function<void(const Change&)> on_change;
    Function<void()> on_synced;                // May be empty.
    Function<void(const Status&)> on_trouble;  // May be empty. Each failed list or watch.
    // What is kept of an object, name, namespace and resourceVersion among it. Empty: all of it.
    Function<json::Value(json::Value)> keep = nullptr;
  };

  // `client` and `random` outlive it.
  Informer(env::EventLoop& loop, Client& client, env::Random& random, Collection collection,
           Selectors selectors, Reflector::Options options);
  ~Informer();

  void Start(Calls calls);

  bool synced() const;
  const std::map<std::string, Object>& objects() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace tepal::kube
