#include "core/runtime/signal_watch.h"

#include <sys/signalfd.h>

#include <cerrno>
#include <csignal>

#include "core/runtime/loop_impl.h"

namespace tepal::runtime {

Result<std::unique_ptr<SignalWatch>> SignalWatch::New(Poller& poller,
                                                      const std::vector<int>& signals,
                                                      Function<void(int)> on_signal) {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : signals) sigaddset(&set, number);
  if (const int error = pthread_sigmask(SIG_BLOCK, &set, nullptr); error != 0) {
    return Status::FromErrno(error, "blocking signals");
  }
  UniqueFd descriptor(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
  if (!descriptor.valid()) return Status::FromErrno(errno, "creating a signalfd");
  std::unique_ptr<SignalWatch> watch(new SignalWatch(std::move(descriptor), std::move(on_signal)));
  watch->watch_.Open(poller, watch->descriptor_.get(), *watch);
  watch->watch_.Set(true, false);
  return watch;
}

void SignalWatch::OnPollReadable() {
  signalfd_siginfo info;
  while (read(descriptor_.get(), &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info))) {
    on_signal_(static_cast<int>(info.ssi_signo));
  }
}

Status LoopImpl::WatchSignals(std::vector<int> signals, Function<void(int)> on_signal) {
  ASSIGN_OR_RETURN(signals_, SignalWatch::New(poller_, signals, std::move(on_signal)));
  return {};
}

}  // namespace tepal::runtime
