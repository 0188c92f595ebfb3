// Stand-ins for tests that need real threads: a clock, threads, sinks, instances.

#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/env/clock.h"
#include "core/env/worker.h"
#include "serving/inference/executor.h"
#include "serving/scheduling/timekeeper.h"

namespace tepal {

class FakeClock final : public env::Clock {
 public:
  Instant Now() const override { return std::chrono::steady_clock::now(); }
  WallTime WallNow() const override { return std::chrono::system_clock::now(); }
};

class FakeThreads final : public env::WorkerThreads {
 public:
  Result<std::unique_ptr<env::WorkerThread>> Start(const std::string&,
                                                   Function<void()> body) override {
    return std::unique_ptr<env::WorkerThread>(std::make_unique<Joined>(std::move(body)));
  }

 private:
  struct Joined final : env::WorkerThread {
    explicit Joined(Function<void()> body) : thread(std::move(body)) {}
    ~Joined() override { thread.join(); }
    std::thread thread;
  };
};

struct FakeWorld {
  FakeClock clock;
  FakeThreads threads;
  std::unique_ptr<Timekeeper> timekeeper = *Timekeeper::Start(clock, threads);
};

// Remembers the final answer and lets a test wait for it.
class FakeSink final : public ResponseSink {
 public:
  void OnResponse(std::unique_ptr<InferenceResponse> response, bool final) override {
    const std::lock_guard lock(mutex_);
    if (response != nullptr) response_ = std::move(response);
    finals_ += final ? 1 : 0;
    thread_ = std::this_thread::get_id();
    changed_.notify_all();
  }

  const InferenceResponse& Wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return finals_ > 0; });
    return *response_;
  }
  int finals() const {
    const std::lock_guard lock(mutex_);
    return finals_;
  }
  std::thread::id thread() const {
    const std::lock_guard lock(mutex_);
    return thread_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::unique_ptr<InferenceResponse> response_;
  int finals_ = 0;
  std::thread::id thread_;
};

// Answers each request with an empty response that carries its id.
inline void AnswerAll(Batch batch) {
  for (auto& request : batch) {
    auto response = std::make_unique<InferenceResponse>();
    response->model_name = request->model_name;
    response->id = request->id;
    const std::shared_ptr<ResponseSink> sink = std::move(request->sink);
    request.reset();
    sink->OnResponse(std::move(response), true);
  }
}

class FakeExecutor final : public BatchExecutor {
 public:
  FakeExecutor(bool runs_inline, std::function<void(Batch)> execute = AnswerAll)
      : inline_(runs_inline), execute_(std::move(execute)) {}
  const std::string& name() const override { return name_; }
  bool runs_inline() const override { return inline_; }
  void Execute(Batch batch) override { execute_(std::move(batch)); }

 private:
  const std::string name_ = "fake_0_0";
  const bool inline_;
  const std::function<void(Batch)> execute_;
};

// Holds back who waits until it is opened.
class Gate {
 public:
  void Open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void Wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

}  // namespace tepal
