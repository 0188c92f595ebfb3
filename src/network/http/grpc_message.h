// A body of gRPC: messages, each with a flag and its length in front.
//
// A message is received straight into one 64-byte aligned Buffer of its own size. One whose flag
// says that it is compressed is received the same way and then decompressed into another, on the
// loop's thread; neither of them may be larger than the limits. Flags and encodings are after the
// document "Compression in gRPC".

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/base/function.h"
#include "core/base/status.h"
#include "network/http/compression.h"
#include "network/http/stream.h"

namespace tepal::http {

// Of a message that came compressed, and never above the limit of messages: a few bytes may promise
// a thousand times their size, and all others of the loop wait meanwhile.
inline constexpr size_t kGrpcDecompressedBytesMax = 256u << 20;

// What we decompress, as grpc-accept-encoding says it.
inline constexpr std::string_view kGrpcAcceptEncoding = "identity,deflate,gzip";

// How one side of a call compresses its messages. Its head must say so in grpc-encoding.
struct GrpcCompression {
  Encoding encoding = Encoding::kIdentity;
  Effort effort = Effort::kMedium;
};

// For answers to a request with these fields: gzip, or else deflate, as far as its
// grpc-accept-encoding allows. None without an effort.
GrpcCompression GrpcAnswerCompression(const Headers& request, std::optional<Effort> effort);

// Adds grpc-encoding unless it is the identity.
void AddGrpcEncoding(GrpcCompression compression, Headers& headers);

// `message` with its prefix. It is left as it is when compression would make it no smaller.
BufferList GrpcFrame(BufferList message, GrpcCompression compression = {});

// Takes a body apart into messages.
class GrpcMessageReader final : public BodySink {
 public:
  // `on_message` may pause the reader. `on_error` is called at most once; what comes after it is
  // thrown away.
  GrpcMessageReader(size_t message_bytes_max, Function<void(Buffer)> on_message,
                    Function<void(Status)> on_error);

  // From the head's grpc-encoding. An encoding that we do not know matters only once a message is
  // compressed by it: UNIMPLEMENTED, which the servers of others say too.
  void SetEncoding(const Headers& head);

  // Servers: messages lie in the memory of the request's body.
  void TakeMemoryFrom(ResponseSender& sender) { memory_ = &sender; }

  std::span<std::byte> BodyRoom(size_t expected) override;
  void OnBody(size_t bytes) override;
  Buffer OpenMemory() const override;

  // Gives no room while paused: to be followed by ResumeBody when it ends.
  void Pause(bool paused) { paused_ = paused; }

  // What still comes is thrown away, without an error.
  void Discard() { failed_ = true; }

  // The body ended in the middle of a message.
  bool truncated() const { return !failed_ && (prefix_filled_ > 0 || in_message_); }

 private:
  static constexpr size_t kPrefixBytes = 5;

  void OnPrefix();
  void CheckCompressed();
  void Emit();
  void EmitDecompressed();
  void Fail(Status why);

  const size_t message_bytes_max_;
  Function<void(Buffer)> on_message_;
  Function<void(Status)> on_error_;
  Encoding encoding_ = Encoding::kIdentity;
  std::string unknown_encoding_;
  std::byte prefix_[kPrefixBytes];
  size_t prefix_filled_ = 0;
  ResponseSender* memory_ = nullptr;
  size_t message_bytes_ = 0;
  Buffer message_;  // Empty until there is memory for it.
  size_t message_filled_ = 0;
  bool in_message_ = false;
  bool compressed_ = false;
  bool paused_ = false;
  bool failed_ = false;
  std::byte waste_[256];
};

}  // namespace tepal::http
