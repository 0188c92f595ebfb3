#include "serving/scheduling/timekeeper.h"

#include <utility>

namespace tepal {

Result<std::unique_ptr<Timekeeper>> Timekeeper::Start(const env::Clock& clock,
                                                      env::WorkerThreads& threads) {
  std::unique_ptr<Timekeeper> timekeeper(new Timekeeper(clock));
  ASSIGN_OR_RETURN(timekeeper->thread_,
                   threads.Start("timekeeper", [self = timekeeper.get()] { self->Run(); }));
  return timekeeper;
}

Timekeeper::~Timekeeper() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.reset();
}

void Timekeeper::CallAt(std::weak_ptr<Client> client, Instant when) {
  bool is_first;
  {
    const std::lock_guard lock(mutex_);
    const auto added = calls_.emplace(when, std::move(client));
    is_first = added == calls_.begin();
  }
  if (is_first) changed_.notify_one();
}

void Timekeeper::Run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (calls_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const auto next = calls_.begin();
    const Instant now = clock_.Now();
    if (next->first > now) {
      changed_.wait_until(lock, Instant(next->first));  // A copy: the entry may go meanwhile.
      continue;
    }
    std::shared_ptr<Client> client = next->second.lock();
    calls_.erase(next);
    lock.unlock();
    if (client != nullptr) client->OnTime(now);
    client.reset();  // Perhaps the last owner: not under the lock.
    lock.lock();
  }
}

}  // namespace tepal
