// The cases that our client runs, by their names in gRPC's document of interoperability tests.

#pragma once

#include <string>
#include <vector>

#include "test/interop/client_call.h"

namespace tepal::interop {

struct Case {
  const char* name;
  Status (*run)(const Channel& channel);
};

const std::vector<Case>& AllCases();

}  // namespace tepal::interop
