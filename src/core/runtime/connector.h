// Connecting without blocking.

#pragma once

#include <memory>

#include "core/env/event_loop.h"

namespace tepal::runtime {

class LoopImpl;

std::unique_ptr<env::EventLoop::Connecting> StartConnecting(
    LoopImpl& loop, const env::Address& address,
    Function<void(Result<std::unique_ptr<env::Stream>>)> done);

}  // namespace tepal::runtime
