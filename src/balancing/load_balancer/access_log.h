// One line of JSON for each request that a client has sent, whatever became of it.
//
// What could be a secret is left out: the query of the target, bodies, and headers but for the
// request id and the trace's. Lines go to a sink that never blocks; what it cannot take is dropped
// and counted there.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/time.h"

namespace tepal::lb {

// Any thread.
class LineSink {
 public:
  virtual ~LineSink() = default;
  // With its line feed. Returns at once; false when the line was dropped.
  virtual bool Write(std::string line) = 0;
};

inline constexpr int kStatusClientGone = 499;

struct AccessEntry {
  WallTime time{};  // When the head had come.
  std::string_view request_id;
  std::string_view traceparent;  // Empty: none.
  std::string_view client;       // IP address.
  std::string_view user;         // Who the token says it is; empty: nobody asked.
  std::string_view method;
  std::string_view path;
  std::string_view protocol;  // "HTTP/1.1".
  std::string_view model;
  std::string_view upstream;  // The pool.
  // The answer's, as HTTP has it, also of a gRPC call; 499: the client left, 0 is never written.
  int status = 0;
  bool broken_off = false;  // The answer was cut short.
  bool hedged = false;      // Sent a second time beside its first try.
  std::string_view error;   // Of the balancer's own, or of the last try that failed.
  struct Try {
    std::string endpoint;
    Duration time{};
  };
  std::vector<Try> tries;  // In order.
  Duration time_total{};
  Duration time_waited{};       // In the queue.
  uint64_t bytes_received = 0;  // Bodies, from and to the client.
  uint64_t bytes_sent = 0;
};

// With its line feed.
std::string AccessLine(const AccessEntry& entry);

}  // namespace tepal::lb
