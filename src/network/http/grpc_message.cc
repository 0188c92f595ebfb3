#include "network/http/grpc_message.h"

#include "core/base/text.h"

namespace tepal::http {

namespace {

uint32_t ReadLength(const std::byte* bytes) {
  uint32_t length = 0;
  for (int i = 0; i < 4; ++i) length = length << 8 | std::to_integer<uint32_t>(bytes[i]);
  return length;
}

}  // namespace

BufferList GrpcFrame(BufferList message) {
  const size_t size = TotalSize(message);
  TEPAL_CHECK(size <= UINT32_MAX);
  Buffer prefix = Buffer::Allocate(5);
  prefix.data()[0] = std::byte{0};
  for (int i = 0; i < 4; ++i) {
    prefix.data()[1 + i] = static_cast<std::byte>(size >> (24 - 8 * i));
  }
  message.insert(message.begin(), std::move(prefix));
  return message;
}

GrpcMessageReader::GrpcMessageReader(size_t message_bytes_max, Function<void(Buffer)> on_message,
                                     Function<void(Status)> on_error)
    : message_bytes_max_(message_bytes_max),
      on_message_(std::move(on_message)),
      on_error_(std::move(on_error)) {}

std::span<std::byte> GrpcMessageReader::BodyRoom(size_t) {
  if (failed_) return waste_;
  if (in_message_) return {message_.data() + message_filled_, message_.size() - message_filled_};
  if (paused_ && prefix_filled_ == 0) return {};
  return std::span(prefix_).subspan(prefix_filled_);
}

void GrpcMessageReader::OnBody(size_t bytes) {
  if (failed_) return;
  if (in_message_) {
    message_filled_ += bytes;
    if (message_filled_ == message_.size()) Emit();
    return;
  }
  prefix_filled_ += bytes;
  if (prefix_filled_ == kPrefixBytes) OnPrefix();
}

void GrpcMessageReader::OnPrefix() {
  prefix_filled_ = 0;
  if (prefix_[0] == std::byte{1}) return Fail(Unimplemented("compressed messages are not taken"));
  if (prefix_[0] != std::byte{0}) return Fail(Internal("a message with unknown flags"));
  const uint32_t size = ReadLength(prefix_ + 1);
  if (size > message_bytes_max_) {
    // The words of gRPC's own library, which users search for.
    return Fail(ResourceExhausted(
        Concat("Received message larger than max (", size, " vs. ", message_bytes_max_, ")")));
  }
  message_ = Buffer::Allocate(size);
  message_filled_ = 0;
  in_message_ = true;
  if (size == 0) Emit();
}

void GrpcMessageReader::Emit() {
  in_message_ = false;
  on_message_(std::exchange(message_, Buffer()));
}

void GrpcMessageReader::Fail(Status why) {
  failed_ = true;
  on_error_(std::move(why));
}

}  // namespace tepal::http
