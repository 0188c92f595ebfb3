#include <pthread.h>

#include <thread>

#include "core/base/text.h"
#include "core/runtime/runtime.h"

namespace tepal::runtime {
namespace {

class LoopThreadsImpl final : public LoopThreads {
 public:
  LoopThreadsImpl(const std::string& name, std::vector<std::unique_ptr<EpollLoop>> loops)
      : loops_(std::move(loops)) {
    for (size_t i = 0; i < loops_.size(); ++i) {
      threads_.emplace_back([loop = loops_[i].get()] { loop->Run(); });
      // The kernel keeps 15 characters of it.
      const std::string thread_name = Concat(name, "/", i).substr(0, 15);
      pthread_setname_np(threads_.back().native_handle(), thread_name.c_str());
    }
  }

  ~LoopThreadsImpl() override {
    for (const auto& loop : loops_) loop->Stop();
    for (std::thread& thread : threads_) thread.join();
  }

  std::vector<env::EventLoop*> loops() override {
    std::vector<env::EventLoop*> pointers;
    for (const auto& loop : loops_) pointers.push_back(loop.get());
    return pointers;
  }

 private:
  std::vector<std::unique_ptr<EpollLoop>> loops_;
  std::vector<std::thread> threads_;
};

}  // namespace

Result<std::unique_ptr<LoopThreads>> LoopThreads::Start(const std::string& name, int count) {
  std::vector<std::unique_ptr<EpollLoop>> loops;
  for (int i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(std::unique_ptr<EpollLoop> loop, EpollLoop::New());
    loops.push_back(std::move(loop));
  }
  return std::unique_ptr<LoopThreads>(new LoopThreadsImpl(name, std::move(loops)));
}

}  // namespace tepal::runtime
