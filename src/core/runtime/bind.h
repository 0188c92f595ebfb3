// Binds listening sockets for child processes.

#pragma once

#include <memory>

#include "core/base/result.h"
#include "core/env/bound_socket.h"

namespace tepal::runtime {

// TCP only. kAlreadyExists when the address is in use.
Result<std::unique_ptr<env::BoundSocket>> BindListener(const env::Address& address);

}  // namespace tepal::runtime
