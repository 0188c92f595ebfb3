// Signals as events of a loop (signalfd(2)).

#pragma once

#include <memory>
#include <vector>

#include "core/base/function.h"
#include "core/runtime/poller.h"

namespace tepal::runtime {

class SignalWatch final : private PollEvents {
 public:
  // Blocks `signals` in the calling thread and those it starts later.
  static Result<std::unique_ptr<SignalWatch>> New(Poller& poller, const std::vector<int>& signals,
                                                  Function<void(int)> on_signal);

 private:
  SignalWatch(UniqueFd descriptor, Function<void(int)> on_signal)
      : descriptor_(std::move(descriptor)), on_signal_(std::move(on_signal)) {}
  void OnPollReadable() override;

  UniqueFd descriptor_;
  Poller::Watch watch_;
  Function<void(int)> on_signal_;
};

}  // namespace tepal::runtime
