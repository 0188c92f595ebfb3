#include "serving/frontend/http/server_timing.h"

#include <cstdint>
#include <string_view>

#include "core/base/text.h"

namespace tepal {
namespace {

// "1.042" of 1042 µs.
std::string Milliseconds(Duration duration) {
  constexpr int64_t kMicroseconds = 1000;
  const int64_t us = ToMicroseconds(duration);
  const std::string rest = Concat(us % kMicroseconds);
  return Concat(us / kMicroseconds, ".", std::string(3 - rest.size(), '0'), rest);
}

}  // namespace

bool AsksServerTiming(const http::Headers& request) { return request.Get("tepal-timing") == "1"; }

std::string ServerTiming(const RequestTimes& times) {
  std::string text;
  const auto part = [&text](std::string_view name, Instant from, Instant to) {
    if (from == Instant{} || to < from) return;
    text += Concat(text.empty() ? "" : ", ", name, ";dur=", Milliseconds(to - from));
  };
  part("receive", times.received, times.queued);
  part("queue", times.queued, times.compute_start);
  part("input", times.compute_start, times.compute_input_end);
  part("infer", times.compute_input_end, times.compute_output_start);
  part("output", times.compute_output_start, times.compute_end);
  return text;
}

}  // namespace tepal
