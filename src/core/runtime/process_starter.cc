#include "core/runtime/process_starter.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <map>

#include "core/runtime/loop_impl.h"
#include "core/runtime/process_child.h"

namespace tepal::runtime {
namespace {

// How often a child is looked at on a kernel without pidfd_open (before Linux 5.3).
constexpr Duration kLookInterval = 50ms;

UniqueFd OpenPidfd(int pid) {
#ifdef SYS_pidfd_open
  return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
#else
  return UniqueFd();
#endif
}

// A child until it has been waited for, whether anybody still wants to know or not.
class Child final : private PollEvents {
 public:
  using OnExit = Function<void(env::ProcessExit)>;

  Child(LoopImpl& loop, int pid, OnExit on_exit, Function<void(int)> forget)
      : loop_(loop), pid_(pid), on_exit_(std::move(on_exit)), forget_(std::move(forget)) {
    pidfd_ = OpenPidfd(pid);
    if (pidfd_.valid()) {
      watch_.Open(loop_.poller(), pidfd_.get(), *this);
      watch_.Set(true, false);
    } else {
      LookLater();
    }
  }
  ~Child() override {
    if (timer_ != 0) loop_.Cancel(timer_);
  }

  void Abandon() { on_exit_ = nullptr; }
  // The pid is ours until waitpid, which only Look calls.
  void Signal(int number) { kill(pid_, number); }

 private:
  void OnPollReadable() override { Look(); }

  void LookLater() {
    timer_ = loop_.RunAfter(kLookInterval, [this] {
      timer_ = 0;
      Look();
    });
  }

  void Look() {
    int status = 0;
    const pid_t got = waitpid(pid_, &status, WNOHANG);
    if (got == 0 || (got < 0 && errno == EINTR)) {
      if (!pidfd_.valid()) LookLater();
      return;
    }
    env::ProcessExit exit;
    if (got == pid_) {
      exit.signalled = WIFSIGNALED(status);
      exit.code = exit.signalled ? WTERMSIG(status) : WEXITSTATUS(status);
    }
    OnExit on_exit = std::move(on_exit_);
    Function<void(int)> forget = std::move(forget_);
    forget(pid_);  // Destroys this.
    if (on_exit) on_exit(exit);
  }

  LoopImpl& loop_;
  const int pid_;
  OnExit on_exit_;
  Function<void(int)> forget_;
  UniqueFd pidfd_;
  Poller::Watch watch_;
  env::EventLoop::TimerId timer_ = 0;
};

using Children = std::map<int, std::unique_ptr<Child>>;

class ProcessImpl final : public env::Process {
 public:
  ProcessImpl(std::weak_ptr<Children> children, int pid, std::weak_ptr<int> alive)
      : children_(std::move(children)), pid_(pid), alive_(std::move(alive)) {}
  ~ProcessImpl() override {
    if (Child* child = Find()) child->Abandon();
  }
  int pid() const override { return pid_; }
  void Signal(int signal_number) override {
    if (Child* child = Find()) child->Signal(signal_number);
  }

 private:
  // Null once the child has been waited for: its number may be another's by now.
  Child* Find() const {
    const std::shared_ptr<Children> children = children_.lock();
    if (children == nullptr || alive_.expired()) return nullptr;
    const auto found = children->find(pid_);
    return found == children->end() ? nullptr : found->second.get();
  }

  std::weak_ptr<Children> children_;
  const int pid_;
  std::weak_ptr<int> alive_;
};

class ProcessStarterImpl final : public env::ProcessStarter {
 public:
  explicit ProcessStarterImpl(LoopImpl& loop) : loop_(loop) {}

  Result<std::unique_ptr<env::Process>> Start(env::ProcessOptions options,
                                              Function<void(env::ProcessExit)> on_exit) override {
    ASSIGN_OR_RETURN(ChildPlan plan, ChildPlan::Make(options));
    ASSIGN_OR_RETURN(const int pid, plan.Start());
    auto alive = std::make_shared<int>(pid);
    std::weak_ptr<int> alive_view = alive;
    auto forget = [children = children_.get(), alive = std::move(alive)](int gone) mutable {
      alive.reset();
      children->erase(gone);
    };
    (*children_)[pid] = std::make_unique<Child>(loop_, pid, std::move(on_exit), std::move(forget));
    return std::unique_ptr<env::Process>(
        std::make_unique<ProcessImpl>(children_, pid, std::move(alive_view)));
  }

 private:
  LoopImpl& loop_;
  std::shared_ptr<Children> children_ = std::make_shared<Children>();
};

}  // namespace

std::unique_ptr<env::ProcessStarter> NewProcessStarter(LoopImpl& loop) {
  return std::make_unique<ProcessStarterImpl>(loop);
}

}  // namespace tepal::runtime
