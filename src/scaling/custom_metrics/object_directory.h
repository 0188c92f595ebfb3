// Which objects there are and which of them a selector means.
//
// Pods come from a kept copy, so that an HPA's question costs no request; other kinds are listed
// when they are asked for. A pod that has not been ready since it started is left out of what a
// selector means, as the HPA leaves it out for CPU: it exports zeros while its model loads, and
// they would pull the mean down. One that was ready once and is not now counts: it may be too busy
// to say so. One loop.

#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/base/function.h"
#include "core/env/random.h"
#include "network/kube/client.h"
#include "network/kube/informer.h"
#include "scaling/custom_metrics/label_selector.h"
#include "scaling/custom_metrics/object_kinds.h"

namespace tepal::custom_metrics {

class ObjectNames {
 public:
  virtual ~ObjectNames() = default;

  // Either runs `done` once, perhaps inside the call. kNotFound: there is no such kind.
  virtual void FindKind(const GroupResource& resource, Function<void(Result<ObjectKind>)> done) = 0;
  // Sorted.
  virtual void FindNames(const ObjectKind& kind, const std::string& name_space,
                         const LabelSelector& selector,
                         Function<void(Result<std::vector<std::string>>)> done) = 0;
};

// Whether a pod has not been ready since it started, or has ended, or is being deleted: no replica
// that can be counted on. Pure.
bool IsStartingOrGone(const json::Value& pod);

// What is kept of a pod.
json::Value PodFacts(const json::Value& pod);

class ObjectDirectory final : public ObjectNames {
 public:
  struct Options {
    bool count_starting_pods = false;  // As prometheus-adapter does.
    Duration kinds_keep = 600s;        // What the API server said about a kind.
  };
  // All outlive it.
  ObjectDirectory(env::EventLoop& loop, kube::Client& client, env::Random& random, Options options);
  ~ObjectDirectory() override;

  void Start();

  void FindKind(const GroupResource& resource, Function<void(Result<ObjectKind>)> done) override;
  void FindNames(const ObjectKind& kind, const std::string& name_space,
                 const LabelSelector& selector,
                 Function<void(Result<std::vector<std::string>>)> done) override;

  bool synced() const { return pods_.synced(); }
  size_t pods() const { return pods_.objects().size(); }

 private:
  struct LearntKind {
    ObjectKind kind;
    Instant until;
  };
  struct State;

  std::vector<std::string> PodNames(const std::string& name_space,
                                    const LabelSelector& selector) const;

  env::EventLoop& loop_;
  kube::Client& client_;
  const Options options_;
  kube::Informer pods_;
  std::string trouble_;  // The last that was logged.
  std::shared_ptr<State> state_;
};

}  // namespace tepal::custom_metrics
