#include "serving/scheduling/ordered_responses.h"

#include <utility>

namespace tepal {

class OrderedResponses::Wrapper final : public ResponseSink {
 public:
  Wrapper(std::shared_ptr<OrderedResponses> owner, std::shared_ptr<Place> place)
      : owner_(std::move(owner)), place_(std::move(place)) {}
  ~Wrapper() override { owner_->GiveUp(*place_); }

  void OnResponse(std::unique_ptr<InferenceResponse> response, bool final) override {
    owner_->Hold(*place_, {std::move(response), final});
  }
  Buffer OutputMemory(std::string_view output, size_t size) override {
    return place_->sink->OutputMemory(output, size);
  }

 private:
  const std::shared_ptr<OrderedResponses> owner_;
  const std::shared_ptr<Place> place_;
};

std::shared_ptr<ResponseSink> OrderedResponses::Wrap(std::shared_ptr<ResponseSink> sink) {
  auto place = std::make_shared<Place>();
  place->sink = std::move(sink);
  {
    const std::lock_guard lock(mutex_);
    places_.push_back(place);
  }
  return std::make_shared<Wrapper>(shared_from_this(), std::move(place));
}

void OrderedResponses::Hold(Place& place, Answer answer) {
  std::unique_lock lock(mutex_);
  place.done = place.done || answer.final;
  place.held.push_back(std::move(answer));
  Deliver(std::move(lock));
}

void OrderedResponses::GiveUp(Place& place) {
  std::unique_lock lock(mutex_);
  if (place.done) return;
  place.done = true;
  Deliver(std::move(lock));
}

void OrderedResponses::Deliver(std::unique_lock<std::mutex> lock) {
  if (delivering_) return;
  delivering_ = true;
  while (!places_.empty()) {
    const std::shared_ptr<Place> first = places_.front();
    std::vector<Answer> answers = std::exchange(first->held, {});
    if (answers.empty() && !first->done) break;
    if (answers.empty()) {
      places_.pop_front();
      continue;
    }
    lock.unlock();
    for (Answer& answer : answers)
      first->sink->OnResponse(std::move(answer.response), answer.final);
    lock.lock();
  }
  delivering_ = false;
}

}  // namespace tepal
