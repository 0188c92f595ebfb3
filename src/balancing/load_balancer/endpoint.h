// One server behind the balancer: what it is, how it is, and what it has done.

#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/time.h"
#include "core/env/network.h"
#include "core/telemetry/metrics.h"

namespace tepal::lb {

// Never used again, even when the same address comes back. Never 0.
using EndpointId = uint64_t;

struct EndpointSpec {
  env::Address address;
  std::optional<env::Address> grpc_address;  // Where gRPC calls go; `address` without it.
  std::string name;                          // For people; the address when empty.
  std::string slot;            // What the server owns ("cpu 0", "MIG 1g.10gb 3"); may be empty.
  uint32_t weight = 1;         // Share of the load relative to the others; at least 1.
  uint32_t in_flight_max = 0;  // Requests at a time; 0: no limit.
  Duration slow_start{};       // How long it counts for less after it has (re)joined.
  bool backup = false;         // Used only while no other endpoint is.
};

enum class EndpointState {
  kChecking,  // New: has not passed a health check yet.
  kUp,
  kUnhealthy,  // Fails its health checks.
  kEjected,    // Failed requests; out for a while.
  kDown,       // Taken out by an operator.
  kDraining,   // Finishes what it has and gets nothing new.
  kRemoved,    // No longer listed; some requests are still in progress.
};

// "up", "checking", …
std::string_view EndpointStateName(EndpointState state);

// What passed between the balancer and one endpoint. Written by every loop without a lock, read by
// metrics and the admin API; outlives the endpoint while somebody holds it.
struct alignas(64) EndpointTraffic {
  std::atomic<uint64_t> requests{0};                 // Tries sent.
  std::array<std::atomic<uint64_t>, 5> responses{};  // [0]: 1xx … [4]: 5xx.
  std::atomic<uint64_t> failures{
      0};  // Tries that ended without an answer, cancelled ones left out.
  std::atomic<uint64_t> cancelled{0};
  std::atomic<uint64_t> bytes_sent{0};      // Bodies, to the endpoint.
  std::atomic<uint64_t> bytes_received{0};  // Bodies, from the endpoint.
  std::atomic<uint64_t> time_us{0};         // Sum over the answers counted in `latency`.
  telemetry::LatencyHistogram latency;      // Try begun to last byte of the answer.

  void CountResponse(int status) {
    if (status >= 100 && status < 600) {
      responses[static_cast<size_t>(status / 100 - 1)].fetch_add(1, std::memory_order_relaxed);
    }
  }
};

}  // namespace tepal::lb
