// What another balancer says, of any bytes: read or refused, and what comes of it is JSON.

#include <cstdint>

#include "balancing/load_balancer/fleet_state.h"
#include "core/base/check.h"
#include "core/json/value.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using tepal::lb::FleetMember;
  const auto read =
      tepal::lb::ReadFleetMember(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!read.ok()) return 0;
  FleetMember silent;
  silent.address = "b";
  silent.error = "no answer";
  TEPAL_CHECK(tepal::json::Parse(tepal::lb::FleetJson({*read, silent, *read})).ok());
  return 0;
}
