// Brings the requests of one model version to its instances.
//
// A DynamicBatcher under one short lock decides; this class has the threads. Two ways to run:
//
// - Instances that declare themselves inline run on the thread that calls Enqueue: when one is free
//   and nothing waits, a request costs no queue and no hop. While all are busy, requests queue and
//   whoever finishes takes them along, a bounded number of batches at a time.
// - Other instances have a worker thread each. One wake starts one batch; an idle worker waits for
//   the queue delay of the next batch by itself.
//
// Deadlines that no worker watches are the Timekeeper's. Answers go from the instance straight to
// the request's sink. Pending and in-flight counts and the failures that happen here are recorded
// here; the rest of the statistics by the instances.

#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/env/clock.h"
#include "core/env/worker.h"
#include "serving/inference/executor.h"
#include "serving/inference/statistics.h"
#include "serving/scheduling/dynamic_batcher.h"
#include "serving/scheduling/ordered_responses.h"
#include "serving/scheduling/timekeeper.h"

namespace tepal {

// Thread-safe.
class ModelScheduler final : public Scheduler,
                             public RequestHost,
                             public Timekeeper::Client,
                             public std::enable_shared_from_this<ModelScheduler> {
 public:
  struct Options {
    std::string name;  // Of the model, for the threads' names.
    BatcherOptions batching;
    bool preserve_ordering = false;
  };
  // Each outlives the scheduler.
  struct World {
    const env::Clock& clock;
    env::WorkerThreads& threads;
    Timekeeper& timekeeper;
  };

  // `executors`, at least one, live until Stop has returned.
  static Result<std::shared_ptr<ModelScheduler>> Start(Options options,
                                                       std::vector<BatchExecutor*> executors,
                                                       std::shared_ptr<ModelStatistics> statistics,
                                                       const World& world);
  ~ModelScheduler() override;

  Status Enqueue(std::unique_ptr<InferenceRequest>&& request) override;
  void Stop() override;
  size_t queued() const override;

  // Requests accepted and not yet destroyed.
  int64_t in_flight() const { return in_flight_.load(); }
  bool stopping() const { return stopping_.load(); }
  bool runs_inline() const { return inline_; }

 private:
  struct Worker {
    BatchExecutor* executor = nullptr;
    std::condition_variable wake;
    bool woken = false;
    std::unique_ptr<env::WorkerThread> thread;
  };
  using Lock = std::unique_lock<std::mutex>;

  ModelScheduler(Options options, std::vector<BatchExecutor*> executors,
                 std::shared_ptr<ModelStatistics> statistics, const World& world);
  Status StartWorkers();

  void OnRequestEnd() override;
  void OnTime(Instant now) override;

  Status Admit(InferenceRequest& request, Instant now);
  void ExecuteAtOnce(std::unique_ptr<InferenceRequest> request, Lock lock);
  void CancelQueued(DynamicBatcher::Ticket ticket);
  void Refuse(std::unique_ptr<InferenceRequest> request, Status status, FailureReason reason);

  // Answers what may wait no longer, starts what is due, and sees that somebody looks again in
  // time. Called after every change of the queue; lets go of the lock.
  void Attend(Lock lock, Instant now);
  void AnswerExpired(Lock& lock, Instant now);
  void RunInline(Lock lock, Batch batch, Instant now);
  void AskTimekeeper();
  void Execute(BatchExecutor& executor, Batch batch, Instant now);

  void RunWorker(Worker& worker);
  void Park(Worker& worker, Lock& lock);
  Worker* WorkerToWake(Instant now);

  const Options options_;
  const std::vector<BatchExecutor*> executors_;
  const std::shared_ptr<ModelStatistics> statistics_;
  const World world_;
  const bool inline_;
  const bool waits_for_company_;
  const std::shared_ptr<OrderedResponses> ordered_;  // Null unless preserve_ordering.

  std::atomic<int64_t> in_flight_{0};
  std::atomic<bool> stopping_{false};  // Written under the lock.

  mutable std::mutex mutex_;
  DynamicBatcher batcher_;
  std::vector<BatchExecutor*> free_;  // Inline instances not executing.
  std::vector<Worker*> idle_;
  Worker* timing_ = nullptr;  // The idle worker that waits until `timed_for_`.
  Instant timed_for_{};
  int woken_ = 0;                       // Workers woken that have not looked yet.
  Instant asked_for_ = Instant::max();  // The earliest call the timekeeper owes us.
  std::condition_variable drained_;
  std::mutex stop_mutex_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace tepal
