// The one thread that waits for the schedulers' deadlines.
//
// Schedulers whose instances are all busy, or run inline, have no thread of their own that could
// notice a timeout. They ask here to be called at an instant; an early or a double call does no
// harm, so nothing is ever taken back.

#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>

#include "core/base/result.h"
#include "core/base/time.h"
#include "core/env/clock.h"
#include "core/env/worker.h"

namespace tepal {

// Thread-safe.
class Timekeeper {
 public:
  class Client {
   public:
    virtual ~Client() = default;
    // On the timekeeper's thread, at or after the instant asked for. Must not block.
    virtual void OnTime(Instant now) = 0;
  };

  static Result<std::unique_ptr<Timekeeper>> Start(const env::Clock& clock,
                                                   env::WorkerThreads& threads);
  // Joins; calls that are still outstanding are dropped.
  ~Timekeeper();

  // A client that is gone by then is not called.
  void CallAt(std::weak_ptr<Client> client, Instant when);

 private:
  explicit Timekeeper(const env::Clock& clock) : clock_(clock) {}
  void Run();

  const env::Clock& clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::multimap<Instant, std::weak_ptr<Client>> calls_;
  bool stopping_ = false;
  std::unique_ptr<env::WorkerThread> thread_;
};

}  // namespace tepal
