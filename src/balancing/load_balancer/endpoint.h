// One server behind the balancer: what it is, how it is, and what it has done.

#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "balancing/load_balancer/status_counts.h"
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

// Of the last answers more than of those before. Every loop adds without a lock: of two that do at
// once one may be lost.
class MovingAverage {
 public:
  void Add(Duration value) {
    const auto next = static_cast<double>(value.count());
    const double before = value_.load(std::memory_order_relaxed);
    value_.store(before < 0 ? next : before + (next - before) * kWeight, std::memory_order_relaxed);
  }
  // Nothing before the first.
  std::optional<Duration> value() const {
    const double value = value_.load(std::memory_order_relaxed);
    return value < 0 ? std::nullopt : std::optional(Duration(static_cast<int64_t>(value)));
  }

 private:
  static constexpr double kWeight = 0.1;
  std::atomic<double> value_{-1};
};

// What passed between the balancer and one endpoint. Written by every loop without a lock, read by
// metrics and the admin API; outlives the endpoint while somebody holds it.
struct alignas(64) EndpointTraffic {
  std::atomic<uint64_t> requests{0};  // Tries sent.
  StatusCounts<1> responses;
  std::atomic<uint64_t> failures{
      0};  // Tries that ended without an answer, cancelled ones left out.
  std::atomic<uint64_t> cancelled{0};
  std::atomic<uint64_t> bytes_sent{0};      // Bodies, to the endpoint.
  std::atomic<uint64_t> bytes_received{0};  // Bodies, from the endpoint.
  std::atomic<uint64_t> time_us{0};         // Sum over the answers counted in `latency`.
  telemetry::LatencyHistogram latency;      // Try begun to last byte of the answer.
  MovingAverage header_time;                // Try begun to the head of the answer,
  MovingAverage response_time;              // and to its last byte.

  void CountAnswer(int status, Duration to_head, Duration whole) {
    responses.Add(status);
    time_us.fetch_add(static_cast<uint64_t>(ToMicroseconds(whole)), std::memory_order_relaxed);
    latency.Record(ToMicroseconds(whole));
    header_time.Add(to_head);
    response_time.Add(whole);
  }
};

}  // namespace tepal::lb
