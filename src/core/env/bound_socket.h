// A listening socket that this process binds and another one will accept from (LISTEN_FDS).

#pragma once

#include "core/env/network.h"

namespace tepal::env {

// Closed when destroyed; a child that was given the descriptor keeps its own.
class BoundSocket {
 public:
  virtual ~BoundSocket() = default;
  virtual int descriptor() const = 0;
  virtual Address address() const = 0;  // With the port that was given for 0.
};

}  // namespace tepal::env
