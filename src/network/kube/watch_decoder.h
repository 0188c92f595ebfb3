// The body of a watch, taken apart: one JSON object a line, cut anywhere by the network.
//
//   {"type":"ADDED","object":{...}}\n
//
// Sans-IO and clockless. A line that is too long or no event ends the stream with an error: what
// follows it could not be trusted, and the reader lists again.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/json/value.h"

namespace tepal::kube {

struct WatchEvent {
  enum class Type { kAdded, kModified, kDeleted, kBookmark, kError };
  Type type = Type::kAdded;
  json::Value object;  // Of kError: a Status.
};

// etcd holds objects up to 1.5 MiB; the rest is for managed fields and escapes.
inline constexpr size_t kWatchLineBytesMax = 16 << 20;

class WatchDecoder {
 public:
  explicit WatchDecoder(size_t line_bytes_max = kWatchLineBytesMax)
      : line_bytes_max_(line_bytes_max) {}

  // Appends the events that are complete now. After an error it takes no more.
  Status Feed(std::string_view bytes, std::vector<WatchEvent>& events);

  // The body is over: an error when that cut an event in two.
  Status Finish() const;

 private:
  Status Line(std::string_view line, std::vector<WatchEvent>& events);

  const size_t line_bytes_max_;
  std::string rest_;  // Of a line whose end has not come.
  bool failed_ = false;
};

}  // namespace tepal::kube
