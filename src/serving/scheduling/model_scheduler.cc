#include "serving/scheduling/model_scheduler.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/base/text.h"

namespace tepal {
namespace {

// After so many batches a caller of Enqueue is let go and the timekeeper's thread goes on: an event
// loop must not be kept by other connections' requests.
constexpr int kInlineBatchesMax = 16;

bool AllInline(const std::vector<BatchExecutor*>& executors) {
  return std::all_of(executors.begin(), executors.end(),
                     [](const BatchExecutor* executor) { return executor->runs_inline(); });
}

}  // namespace

ModelScheduler::ModelScheduler(Options options, std::vector<BatchExecutor*> executors,
                               std::shared_ptr<ModelStatistics> statistics, const World& world)
    : options_(std::move(options)),
      executors_(std::move(executors)),
      statistics_(std::move(statistics)),
      world_(world),
      inline_(AllInline(executors_)),
      waits_for_company_(options_.batching.shares_batches &&
                         options_.batching.queue_delay_max > Duration::zero()),
      ordered_(options_.preserve_ordering ? std::make_shared<OrderedResponses>() : nullptr),
      batcher_(options_.batching) {
  if (inline_) free_ = executors_;
}

Result<std::shared_ptr<ModelScheduler>> ModelScheduler::Start(
    Options options, std::vector<BatchExecutor*> executors,
    std::shared_ptr<ModelStatistics> statistics, const World& world) {
  TEPAL_CHECK(!executors.empty() && statistics != nullptr);
  std::shared_ptr<ModelScheduler> scheduler(
      new ModelScheduler(std::move(options), std::move(executors), std::move(statistics), world));
  if (!scheduler->inline_) RETURN_IF_ERROR(scheduler->StartWorkers());
  return scheduler;
}

Status ModelScheduler::StartWorkers() {
  for (BatchExecutor* executor : executors_) {
    auto& worker = workers_.emplace_back(std::make_unique<Worker>());
    worker->executor = executor;
    auto thread =
        world_.threads.Start(executor->name(), [this, own = worker.get()] { RunWorker(*own); });
    if (!thread.ok()) {
      workers_.pop_back();
      return thread.status();
    }
    worker->thread = std::move(*thread);
  }
  return {};
}

ModelScheduler::~ModelScheduler() { Stop(); }

Status ModelScheduler::Enqueue(std::unique_ptr<InferenceRequest>&& request) {
  const Instant now = world_.clock.Now();
  RETURN_IF_ERROR(Admit(*request, now));
  request->times.queued = now;

  Lock lock(mutex_);
  if (stopping_.load(std::memory_order_relaxed)) {
    return Unavailable(
        Concat(RequestIdPrefix(*request), "model '", options_.name, "' is being unloaded"));
  }
  if (inline_ && !waits_for_company_ && !free_.empty() && batcher_.empty()) {
    ExecuteAtOnce(std::move(request), std::move(lock));
    return {};
  }

  std::shared_ptr<CancellationToken> cancellation = request->cancellation;
  InferenceRequest* const queued = request.get();
  const auto ticket = batcher_.Enqueue(std::move(request), now);
  if (!ticket.ok()) {
    lock.unlock();
    statistics_->AddFailure(FailureReason::kRejected, now - request->times.received);
    return ticket.status();
  }
  queued->lease = RequestLease(shared_from_this());
  if (ordered_ != nullptr) queued->sink = ordered_->Wrap(std::move(queued->sink));
  in_flight_.fetch_add(1);
  statistics_->AddInFlight(1);
  statistics_->AddPending(1);
  Attend(std::move(lock), now);

  if (cancellation != nullptr) {
    cancellation->SetListener([self = weak_from_this(), number = *ticket] {
      if (const auto scheduler = self.lock()) scheduler->CancelQueued(number);
    });
  }
  return {};
}

Status ModelScheduler::Admit(InferenceRequest& request, Instant now) {
  if (request.times.received == Instant{}) request.times.received = now;
  if (request.cancelled()) {
    statistics_->AddFailure(FailureReason::kCanceled, now - request.times.received);
    return Cancelled(RequestIdPrefix(request) + "Request cancelled");
  }
  if (request.deadline <= now) {
    statistics_->AddFailure(FailureReason::kCanceled, now - request.times.received);
    return DeadlineExceeded(RequestIdPrefix(request) + "Request deadline passed on arrival");
  }
  return {};
}

void ModelScheduler::ExecuteAtOnce(std::unique_ptr<InferenceRequest> request, Lock lock) {
  request->lease = RequestLease(shared_from_this());
  if (ordered_ != nullptr) request->sink = ordered_->Wrap(std::move(request->sink));
  in_flight_.fetch_add(1);
  statistics_->AddInFlight(1);
  statistics_->AddPending(1);
  const Instant now = request->times.queued;
  Batch batch;
  batch.push_back(std::move(request));
  RunInline(std::move(lock), std::move(batch), now);
}

void ModelScheduler::Stop() {
  const std::lock_guard only_one(stop_mutex_);
  Lock lock(mutex_);
  stopping_.store(true);
  batcher_.Hurry();
  for (Worker* worker : std::exchange(idle_, {})) {
    worker->woken = true;
    ++woken_;
    worker->wake.notify_one();
  }
  lock.unlock();
  for (const auto& worker : workers_) worker->thread.reset();

  lock.lock();
  while (!batcher_.empty() || in_flight_.load() != 0 ||
         (inline_ && free_.size() != executors_.size())) {
    if (inline_ && !batcher_.empty() && !free_.empty()) {
      Attend(std::move(lock), world_.clock.Now());
      lock = Lock(mutex_);
      continue;
    }
    drained_.wait(lock);
  }
}

size_t ModelScheduler::queued() const {
  const std::lock_guard lock(mutex_);
  return batcher_.size();
}

void ModelScheduler::OnRequestEnd() {
  statistics_->AddInFlight(-1);
  if (in_flight_.fetch_sub(1) != 1 || !stopping_.load()) return;
  const std::lock_guard lock(mutex_);
  drained_.notify_all();
}

void ModelScheduler::OnTime(Instant now) {
  Lock lock(mutex_);
  asked_for_ = Instant::max();
  Attend(std::move(lock), now);
}

void ModelScheduler::CancelQueued(DynamicBatcher::Ticket ticket) {
  Lock lock(mutex_);
  std::unique_ptr<InferenceRequest> request = batcher_.Cancel(ticket);
  if (request == nullptr) return;
  // Without it, those behind may make a batch that is due.
  Attend(std::move(lock), world_.clock.Now());
  Refuse(std::move(request), Cancelled("Request cancelled"), FailureReason::kCanceled);
}

void ModelScheduler::Refuse(std::unique_ptr<InferenceRequest> request, Status status,
                            FailureReason reason) {
  statistics_->AddPending(-1);
  statistics_->AddFailure(reason, world_.clock.Now() - request->times.received);
  InferenceRequest::Fail(std::move(request), std::move(status));
}

void ModelScheduler::Attend(Lock lock, Instant now) {
  AnswerExpired(lock, now);
  if (!inline_) {
    Worker* const worker = WorkerToWake(now);
    AskTimekeeper();
    lock.unlock();
    if (worker != nullptr) worker->wake.notify_one();
    return;
  }
  if (!free_.empty()) {
    Batch batch = batcher_.PopDue(now);
    if (!batch.empty()) return RunInline(std::move(lock), std::move(batch), now);
  }
  AskTimekeeper();
}

void ModelScheduler::AnswerExpired(Lock& lock, Instant now) {
  std::vector<DynamicBatcher::Refused> expired = batcher_.TakeExpired(now);
  if (expired.empty()) return;
  lock.unlock();
  for (DynamicBatcher::Refused& refused : expired) {
    Refuse(std::move(refused.request), std::move(refused.status), refused.reason);
  }
  lock.lock();
}

void ModelScheduler::RunInline(Lock lock, Batch batch, Instant now) {
  BatchExecutor* const executor = free_.back();
  free_.pop_back();
  for (int batches = 0; !batch.empty(); ++batches) {
    lock.unlock();
    Execute(*executor, std::move(batch), now);
    lock.lock();
    batch.clear();
    if (batcher_.empty() || batches == kInlineBatchesMax) break;
    now = world_.clock.Now();
    AnswerExpired(lock, now);
    batch = batcher_.PopDue(now);
  }
  free_.push_back(executor);
  AskTimekeeper();
  if (stopping_.load(std::memory_order_relaxed)) drained_.notify_all();
}

void ModelScheduler::AskTimekeeper() {
  if (batcher_.empty() && !batcher_.NextExpiry()) return;
  const bool watches_batches = inline_ && !free_.empty();
  const auto next = watches_batches ? batcher_.NextDeadline() : batcher_.NextExpiry();
  if (!next || *next >= asked_for_) return;
  asked_for_ = *next;
  world_.timekeeper.CallAt(weak_from_this(), *next);
}

void ModelScheduler::Execute(BatchExecutor& executor, Batch batch, Instant now) {
  for (const auto& request : batch) request->times.compute_start = now;
  statistics_->AddPending(-static_cast<int64_t>(batch.size()));
  executor.Execute(std::move(batch));
}

void ModelScheduler::RunWorker(Worker& worker) {
  Lock lock(mutex_);
  while (true) {
    const Instant now = world_.clock.Now();
    AnswerExpired(lock, now);
    Batch batch = batcher_.PopDue(now);
    if (!batch.empty()) {
      Worker* const next = WorkerToWake(now);
      AskTimekeeper();
      lock.unlock();
      if (next != nullptr) next->wake.notify_one();
      Execute(*worker.executor, std::move(batch), now);
      lock.lock();
      continue;
    }
    if (stopping_.load(std::memory_order_relaxed) && batcher_.empty()) break;
    Park(worker, lock);
  }
  drained_.notify_all();
}

void ModelScheduler::Park(Worker& worker, Lock& lock) {
  worker.woken = false;
  idle_.push_back(&worker);
  const auto woken = [&] { return worker.woken; };
  const auto next = batcher_.NextBatch();
  if (next && timing_ == nullptr) {
    timing_ = &worker;
    timed_for_ = *next;
    worker.wake.wait_until(lock, Instant(*next), woken);
    if (timing_ == &worker) timing_ = nullptr;
  } else {
    worker.wake.wait(lock, woken);
  }
  if (worker.woken) {
    --woken_;
  } else {
    idle_.erase(std::find(idle_.begin(), idle_.end(), &worker));
  }
}

ModelScheduler::Worker* ModelScheduler::WorkerToWake(Instant now) {
  // A worker that is on its way sees the queue as it is then, and wakes another when there is more.
  if (woken_ != 0 || idle_.empty()) return nullptr;
  const auto next = batcher_.NextBatch();
  if (!next) return nullptr;
  if (*next > now && timing_ != nullptr && *next >= timed_for_) return nullptr;
  const auto chosen =
      timing_ == nullptr ? idle_.end() - 1 : std::find(idle_.begin(), idle_.end(), timing_);
  TEPAL_CHECK(chosen != idle_.end());
  Worker* const worker = *chosen;
  idle_.erase(chosen);
  timing_ = nullptr;
  worker->woken = true;
  ++woken_;
  return worker;
}

}  // namespace tepal
