// What gRPC's statuses are in the terms of HTTP's, for one set of rules and statistics, and back.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/base/status.h"
#include "network/http/message.h"

namespace tepal::lb {

// The HTTP status that says the same: 200 for OK, 503 for UNAVAILABLE, 500 for INTERNAL, UNKNOWN
// and DATA_LOSS, 501 for UNIMPLEMENTED, and of the 4xx for what is the request's doing, a deadline
// that has passed among it.
int HttpStatusOfGrpc(StatusCode code);

// How a gRPC call was answered; `trailers` may be null. An answer that ends without a grpc-status
// counts as 502.
int HttpStatusOfGrpcAnswer(const http::ResponseHead& head, const http::Headers* trailers);

// The balancer's own refusals: UNAVAILABLE for 502 and 503, DEADLINE_EXCEEDED for 504,
// PERMISSION_DENIED for 403.
StatusCode GrpcCodeOfError(int http_status);

// Where the messages of a gRPC body begin and end, as its bytes pass by.
class GrpcBoundary {
 public:
  void Feed(std::span<const std::byte> bytes);
  // Between two messages.
  bool reached() const { return left_ == 0 && prefix_filled_ == 0; }

 private:
  size_t prefix_filled_ = 0;
  uint32_t length_ = 0;
  size_t left_ = 0;
};

// The length of a message with its prefix, from the prefix's five bytes.
size_t GrpcFrameSize(std::span<const std::byte> prefix);
inline constexpr size_t kGrpcPrefixBytes = 5;

}  // namespace tepal::lb
