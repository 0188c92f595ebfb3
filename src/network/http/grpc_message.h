// A body of gRPC: messages, each with its length in front.
//
// A message is received straight into one 64-byte aligned Buffer of its own size. Compressed
// messages are refused with UNIMPLEMENTED: no encoding but identity is announced.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/base/function.h"
#include "core/base/status.h"
#include "network/http/stream.h"

namespace tepal::http {

// `message` with its prefix.
BufferList GrpcFrame(BufferList message);

// Takes a body apart into messages.
class GrpcMessageReader final : public BodySink {
 public:
  // `on_message` may pause the reader. `on_error` is called at most once; what comes after it is
  // thrown away.
  GrpcMessageReader(size_t message_bytes_max, Function<void(Buffer)> on_message,
                    Function<void(Status)> on_error);

  std::span<std::byte> BodyRoom(size_t expected) override;
  void OnBody(size_t bytes) override;

  // Gives no room while paused: to be followed by ResumeBody when it ends.
  void Pause(bool paused) { paused_ = paused; }

  // What still comes is thrown away, without an error.
  void Discard() { failed_ = true; }

  // The body ended in the middle of a message.
  bool truncated() const { return !failed_ && (prefix_filled_ > 0 || in_message_); }

 private:
  static constexpr size_t kPrefixBytes = 5;

  void OnPrefix();
  void Emit();
  void Fail(Status why);

  const size_t message_bytes_max_;
  Function<void(Buffer)> on_message_;
  Function<void(Status)> on_error_;
  std::byte prefix_[kPrefixBytes];
  size_t prefix_filled_ = 0;
  Buffer message_;
  size_t message_filled_ = 0;
  bool in_message_ = false;
  bool paused_ = false;
  bool failed_ = false;
  std::byte waste_[256];
};

}  // namespace tepal::http
