// What the balancer's clients have seen: one set of cells for all loops.

#pragma once

#include <atomic>
#include <cstdint>

#include "balancing/load_balancer/status_counts.h"
#include "core/telemetry/metrics.h"

namespace tepal::lb {

// Thread-safe.
struct ProxyStatistics {
  telemetry::Counter requests;                // Heads received.
  StatusCounts<telemetry::kCells> responses;  // To clients.
  telemetry::Counter failed;            // Answered by the balancer with an error of its own (5xx).
  telemetry::Counter broken_off;        // Lost within a streamed answer.
  telemetry::Counter refused;           // Answered by the balancer with 403.
  telemetry::Counter unauthorized;      // With 401.
  telemetry::Counter client_gone;       // The client left before its answer.
  telemetry::Counter load_reports;      // Read from endpoints' answers.
  telemetry::Counter load_malformed;    // And those that made no sense.
  telemetry::Counter rescued;           // Tries given up for taking far longer than usual.
  telemetry::Counter hedges_won;        // Second tries whose answers clients got.
  telemetry::Counter bytes_received;    // Bodies, from clients.
  telemetry::Counter bytes_sent;        // Bodies, to clients.
  telemetry::LatencyHistogram latency;  // Head received to answer complete, waiting included.
  std::atomic<int64_t> active{0};       // Requests in progress.
};

}  // namespace tepal::lb
