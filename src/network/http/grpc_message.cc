#include "network/http/grpc_message.h"

#include <algorithm>

#include "core/base/text.h"

namespace tepal::http {

namespace {

uint32_t ReadLength(const std::byte* bytes) {
  uint32_t length = 0;
  for (int i = 0; i < 4; ++i) length = length << 8 | std::to_integer<uint32_t>(bytes[i]);
  return length;
}

}  // namespace

GrpcCompression GrpcAnswerCompression(const Headers& request, std::optional<Effort> effort) {
  if (!effort.has_value()) return {};
  for (const Encoding encoding : {Encoding::kGzip, Encoding::kDeflate}) {
    if (request.ListHas("grpc-accept-encoding", EncodingName(encoding))) return {encoding, *effort};
  }
  return {};
}

void AddGrpcEncoding(GrpcCompression compression, Headers& headers) {
  if (compression.encoding == Encoding::kIdentity) return;
  headers.Add("grpc-encoding", EncodingName(compression.encoding));
}

BufferList GrpcFrame(BufferList message, GrpcCompression compression) {
  size_t size = TotalSize(message);
  bool compressed = false;
  if (compression.encoding != Encoding::kIdentity && size > 0) {
    BufferList smaller = Compress(compression.encoding, message, compression.effort);
    compressed = TotalSize(smaller) < size;
    if (compressed) {
      message = std::move(smaller);
      size = TotalSize(message);
    }
  }
  TEPAL_CHECK(size <= UINT32_MAX);
  Buffer prefix = Buffer::Allocate(5);
  prefix.data()[0] = std::byte{compressed};
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

void GrpcMessageReader::SetEncoding(const Headers& head) {
  const std::string_view name = head.Get("grpc-encoding").value_or("");
  const std::optional<Encoding> encoding = ContentEncoding(name);
  encoding_ = encoding.value_or(Encoding::kIdentity);
  if (!encoding.has_value()) unknown_encoding_ = name;
}

std::span<std::byte> GrpcMessageReader::BodyRoom(size_t) {
  if (failed_) return waste_;
  if (in_message_) {
    if (message_.empty()) {
      message_ = memory_ == nullptr ? Buffer::Allocate(message_bytes_)
                                    : memory_->AllocateBody(message_bytes_);
      if (message_.empty()) return {};
    }
    return {message_.data() + message_filled_, message_.size() - message_filled_};
  }
  if (paused_ && prefix_filled_ == 0) return {};
  return std::span(prefix_).subspan(prefix_filled_);
}

Buffer GrpcMessageReader::OpenMemory() const {
  if (failed_ || !in_message_ || message_.empty()) return {};
  return message_.Slice(message_filled_, message_.size() - message_filled_);
}

void GrpcMessageReader::OnBody(size_t bytes) {
  if (failed_) return;
  if (in_message_) {
    message_filled_ += bytes;
    if (message_filled_ == message_bytes_) Emit();
    return;
  }
  prefix_filled_ += bytes;
  if (prefix_filled_ == kPrefixBytes) OnPrefix();
}

void GrpcMessageReader::OnPrefix() {
  prefix_filled_ = 0;
  if (prefix_[0] > std::byte{1}) return Fail(Internal("a message with unknown flags"));
  compressed_ = prefix_[0] == std::byte{1};
  if (compressed_) CheckCompressed();
  if (failed_) return;
  const uint32_t size = ReadLength(prefix_ + 1);
  if (size > message_bytes_max_) {
    // The words of gRPC's own library, which users search for.
    return Fail(ResourceExhausted(
        Concat("Received message larger than max (", size, " vs. ", message_bytes_max_, ")")));
  }
  message_bytes_ = size;
  message_filled_ = 0;
  in_message_ = true;
  if (size == 0) Emit();
}

void GrpcMessageReader::CheckCompressed() {
  if (!unknown_encoding_.empty()) {
    return Fail(Unimplemented(Concat("a message is compressed by '", unknown_encoding_,
                                     "', expected one of ", kGrpcAcceptEncoding)));
  }
  if (encoding_ == Encoding::kIdentity) {
    Fail(Internal("a message is flagged as compressed, but grpc-encoding names no encoding"));
  }
}

void GrpcMessageReader::Emit() {
  in_message_ = false;
  if (compressed_) return EmitDecompressed();
  on_message_(std::exchange(message_, Buffer()));
}

void GrpcMessageReader::EmitDecompressed() {
  const Buffer message = std::exchange(message_, Buffer());
  const size_t bytes_max = std::min(message_bytes_max_, kGrpcDecompressedBytesMax);
  Budget* const budget = memory_ == nullptr ? nullptr : memory_->body_budget();
  Result<Buffer> plain = Decompress(encoding_, message.text(), bytes_max, budget);
  if (plain.ok()) return on_message_(std::move(plain).value());
  if (plain.status().code() == StatusCode::kUnavailable) {
    return Fail(ResourceExhausted(plain.status().message()));
  }
  if (plain.status().code() == StatusCode::kResourceExhausted) {
    return Fail(ResourceExhausted(
        Concat("Received message larger than max (over ", bytes_max, " bytes when decompressed)")));
  }
  Fail(Internal(Concat("decompressing a message: ", plain.status().message())));
}

void GrpcMessageReader::Fail(Status why) {
  failed_ = true;
  on_error_(std::move(why));
}

}  // namespace tepal::http
