#include <pthread.h>

#include <condition_variable>
#include <deque>
#include <thread>

#include "core/base/guarded.h"
#include "core/base/text.h"
#include "core/runtime/runtime.h"

namespace tepal::runtime {
namespace {

class ThreadPool final : public env::Executor {
 public:
  ThreadPool(const std::string& name, int count) {
    for (int i = 0; i < count; ++i) {
      threads_.emplace_back([this] { Work(); });
      const std::string thread_name = Concat(name, "/", i).substr(0, 15);
      pthread_setname_np(threads_.back().native_handle(), thread_name.c_str());
    }
  }

  ~ThreadPool() override {
    queue_.Lock()->stopping = true;
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  void Execute(Function<void()> task) override {
    queue_.Lock()->tasks.push_back(std::move(task));
    changed_.notify_one();
  }

 private:
  struct Queue {
    std::deque<Function<void()>> tasks;
    bool stopping = false;
  };

  void Work() {
    while (true) {
      Function<void()> task;
      {
        auto queue = queue_.Lock();
        changed_.wait(queue.lock(), [&] { return queue->stopping || !queue->tasks.empty(); });
        if (queue->stopping) return;
        task = std::move(queue->tasks.front());
        queue->tasks.pop_front();
      }
      task();
    }
  }

  Guarded<Queue> queue_;
  std::condition_variable changed_;
  std::vector<std::thread> threads_;
};

}  // namespace

std::unique_ptr<env::Executor> NewThreadPool(const std::string& name, int count) {
  return std::make_unique<ThreadPool>(name, count);
}

}  // namespace tepal::runtime
