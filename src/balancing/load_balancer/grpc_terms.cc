#include "balancing/load_balancer/grpc_terms.h"

#include <algorithm>

#include "core/base/check.h"
#include "network/http/grpc_text.h"

namespace tepal::lb {

int HttpStatusOfGrpc(StatusCode code) {
  switch (code) {
    case StatusCode::kOk:
      return 200;
    case StatusCode::kUnavailable:
      return 503;
    case StatusCode::kInternal:
    case StatusCode::kUnknown:
    case StatusCode::kDataLoss:
      return 500;
    case StatusCode::kUnimplemented:
      return 501;
    case StatusCode::kNotFound:
      return 404;
    case StatusCode::kDeadlineExceeded:
      return 408;
    case StatusCode::kResourceExhausted:
      return 429;
    case StatusCode::kCancelled:
      return 499;
    default:
      return 400;
  }
}

int HttpStatusOfGrpcAnswer(const http::ResponseHead& head, const http::Headers* trailers) {
  if (head.status != 200) return head.status;
  std::optional<Status> status;
  if (trailers != nullptr) status = http::ReadGrpcStatus(*trailers);
  if (!status.has_value()) status = http::ReadGrpcStatus(head.headers);
  return status.has_value() ? HttpStatusOfGrpc(status->code()) : 502;
}

StatusCode GrpcCodeOfError(int http_status) {
  switch (http_status) {
    case 401:
      return StatusCode::kUnauthenticated;
    case 403:
      return StatusCode::kPermissionDenied;
    case 504:
      return StatusCode::kDeadlineExceeded;
    case 502:
    case 503:
      return StatusCode::kUnavailable;
    default:
      return StatusCode::kInternal;
  }
}

void GrpcBoundary::Feed(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    if (left_ > 0) {
      const size_t taken = std::min(left_, bytes.size());
      left_ -= taken;
      bytes = bytes.subspan(taken);
      continue;
    }
    // The first byte is a flag, the other four a length.
    if (prefix_filled_ > 0) length_ = length_ << 8 | std::to_integer<uint32_t>(bytes[0]);
    bytes = bytes.subspan(1);
    if (++prefix_filled_ < kGrpcPrefixBytes) continue;
    left_ = length_;
    prefix_filled_ = 0;
    length_ = 0;
  }
}

size_t GrpcFrameSize(std::span<const std::byte> prefix) {
  TEPAL_CHECK(prefix.size() >= kGrpcPrefixBytes);
  size_t length = 0;
  for (size_t i = 1; i < kGrpcPrefixBytes; ++i) {
    length = length << 8 | std::to_integer<size_t>(prefix[i]);
  }
  return kGrpcPrefixBytes + length;
}

}  // namespace tepal::lb
