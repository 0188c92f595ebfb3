// Asks the API server for a review (TokenReview, SubjectAccessReview): the POST, and again for a
// while when the server cannot be reached or says that it is not its turn.
//
// One loop. Destroying it drops what is in progress without a call.

#pragma once

#include <memory>
#include <string>

#include "core/base/function.h"
#include "core/base/result.h"
#include "core/env/event_loop.h"
#include "network/kube/client.h"

namespace tepal::custom_metrics {

class Reviews {
 public:
  struct Options {
    Duration time_max = 8s;        // Then the answer is an error; an HPA waits for 10 s and more.
    Duration retry_first = 100ms;  // Doubling.
  };
  // Both outlive it.
  Reviews(env::EventLoop& loop, kube::Client& client, Options options);
  ~Reviews();

  // `done` gets the object's `status`, never inside the call. kUnavailable: it cannot be said now.
  void Ask(const kube::Collection& kind, std::string object,
           Function<void(Result<json::Value>)> done);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace tepal::custom_metrics
