// Looks at our APIServices when we start and every minute after, and keeps them as api_service.h
// says. One loop.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/function.h"
#include "core/env/event_loop.h"
#include "network/kube/client.h"
#include "scaling/custom_metrics/api_service.h"

namespace tepal::custom_metrics {

class ApiServiceKeeper {
 public:
  struct Options {
    Duration interval = 60s;
    Duration retry = 5s;  // After the API server could not be asked, or somebody else was faster.
  };
  // Both outlive it.
  ApiServiceKeeper(env::EventLoop& loop, kube::Client& client, std::vector<ApiServiceWish> wishes,
                   Options options);
  ~ApiServiceKeeper();

  // `on_refused` is called when one of them is found to be somebody else's, with whose; each time
  // that is news.
  void Start(Function<void(const std::string&)> on_refused);

  // Our certificate has another authority now.
  void SetCa(const std::string& pem);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace tepal::custom_metrics
