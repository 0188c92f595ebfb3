// Answers in the order of the requests, whatever order they come in (preserve_ordering).
//
// Each request's sink is wrapped when it is queued; the wrapper holds answers back until every
// request before it has had its last. An answer that is an error keeps its place like any other.

#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "serving/inference/request.h"

namespace tepal {

// Thread-safe. Sinks are called outside its lock.
class OrderedResponses : public std::enable_shared_from_this<OrderedResponses> {
 public:
  // The order of calls is the order of answers. A wrapper that is destroyed before its final answer
  // gives up its place.
  std::shared_ptr<ResponseSink> Wrap(std::shared_ptr<ResponseSink> sink);

 private:
  struct Answer {
    std::unique_ptr<InferenceResponse> response;
    bool final;
  };
  struct Place {
    std::shared_ptr<ResponseSink> sink;
    std::vector<Answer> held;
    bool done = false;  // Nothing more will be held.
  };
  class Wrapper;

  void Hold(Place& place, Answer answer);
  void GiveUp(Place& place);
  void Deliver(std::unique_lock<std::mutex> lock);

  std::mutex mutex_;
  std::deque<std::shared_ptr<Place>> places_;
  bool delivering_ = false;  // One thread at a time, so that the order holds outside the lock too.
};

}  // namespace tepal
