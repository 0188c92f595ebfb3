#include "core/runtime/worker_threads.h"

#include <pthread.h>

#include <system_error>
#include <thread>
#include <utility>

#include "core/base/text.h"

namespace tepal::runtime {
namespace {

constexpr size_t kKernelNameMax = 15;

class JoinedThread final : public env::WorkerThread {
 public:
  explicit JoinedThread(std::thread thread) : thread_(std::move(thread)) {}
  ~JoinedThread() override { thread_.join(); }

 private:
  std::thread thread_;
};

class ThreadStarter final : public env::WorkerThreads {
 public:
  Result<std::unique_ptr<env::WorkerThread>> Start(const std::string& name,
                                                   Function<void()> body) override {
    try {
      std::thread thread(
          [kernel_name = name.substr(0, kKernelNameMax), run = std::move(body)]() mutable {
            pthread_setname_np(pthread_self(), kernel_name.c_str());
            run();
          });
      return std::unique_ptr<env::WorkerThread>(std::make_unique<JoinedThread>(std::move(thread)));
    } catch (const std::system_error& error) {
      return ResourceExhausted(Concat("starting thread '", name, "': ", error.what()));
    }
  }
};

}  // namespace

env::WorkerThreads& SystemThreads() {
  static ThreadStarter starter;
  return starter;
}

}  // namespace tepal::runtime
