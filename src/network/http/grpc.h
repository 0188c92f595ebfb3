// gRPC over the streams of HTTP/2: messages with their length in front, status in the trailers.
//
// After the protocol document of gRPC ("gRPC over HTTP2"). A message is received straight into one
// 64-byte aligned Buffer of its own size. Compressed messages are refused with UNIMPLEMENTED: no
// encoding but identity is announced.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/base/function.h"
#include "core/base/result.h"
#include "core/base/time.h"
#include "network/http/stream.h"

namespace tepal::http {

// "application/grpc", alone or followed by "+proto" or ";...".
bool IsGrpcContentType(std::string_view content_type);
bool IsGrpcRequest(const RequestHead& head);

// "20m" is 20 ms: at most eight digits and one of H M S m u n. Nothing when malformed.
std::optional<Duration> ParseGrpcTimeout(std::string_view text);
// Rounded up to what eight digits can say; at least 1 ns.
std::string FormatGrpcTimeout(Duration timeout);

// grpc-message: percent-encoded where a character is not printable ASCII. Decoding takes anything.
std::string EncodeGrpcMessage(std::string_view message);
std::string DecodeGrpcMessage(std::string_view encoded);

// Adds grpc-status, and grpc-message when there is one.
void AddGrpcStatus(const Status& status, Headers& headers);
// From trailers, or from the head of an answer that is nothing but trailers; empty without a
// grpc-status.
std::optional<Status> ReadGrpcStatus(const Headers& headers);
// What an answer without any grpc-status means, by its HTTP status.
Status GrpcStatusFromHttp(int http_status);

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

// Answers: one message and OK, or an error without a message. `initial`: further header fields.
void GrpcRespond(ResponseSender& sender, BufferList message, const Headers* initial = nullptr);
void GrpcRespondError(ResponseSender& sender, const Status& error);

// Takes a unary request and calls `done` once with its message; malformed requests are answered
// here. `on_reset`: the client has given up. `done` may answer at any time (see stream.h), with
// GrpcRespond or GrpcRespondError.
class GrpcUnaryRequest final : public RequestReceiver {
 public:
  GrpcUnaryRequest(ResponseSender& sender, size_t message_bytes_max, Function<void(Buffer)> done,
                   Function<void(const Status&)> on_reset = nullptr);

  std::span<std::byte> BodyRoom(size_t expected) override { return reader_.BodyRoom(expected); }
  void OnBody(size_t bytes) override { reader_.OnBody(bytes); }
  void OnRequestEnd(const Headers& trailers) override;
  void OnReset(const Status& why) override;

 private:
  void Refuse(const Status& why);

  ResponseSender& sender_;
  GrpcMessageReader reader_;
  Function<void(Buffer)> done_;
  Function<void(const Status&)> on_reset_;
  std::optional<Buffer> message_;
  bool refused_ = false;
};

// A request of any number of messages, given one by one. Errors of the framing are answered here
// and then told as a reset.
class GrpcStreamRequest final : public RequestReceiver {
 public:
  struct Calls {
    Function<void(Buffer)> on_message;
    Function<void()> on_end;  // The client has sent its last.
    Function<void(const Status&)> on_reset;
    Function<void()> on_send_room;  // May be empty.
  };
  GrpcStreamRequest(ResponseSender& sender, size_t message_bytes_max, Calls calls);

  // No further messages until Resume.
  void Pause() { reader_.Pause(true); }
  void Resume();

  std::span<std::byte> BodyRoom(size_t expected) override { return reader_.BodyRoom(expected); }
  void OnBody(size_t bytes) override { reader_.OnBody(bytes); }
  void OnRequestEnd(const Headers& trailers) override;
  void OnReset(const Status& why) override;
  void OnSendRoom() override;

 private:
  void Refuse(const Status& why);

  ResponseSender& sender_;
  Calls calls_;
  GrpcMessageReader reader_;
  bool over_ = false;
};

// The answers of a stream: a head, any number of messages, a status.
void GrpcStart(ResponseSender& sender, const Headers* initial = nullptr);
void GrpcWrite(ResponseSender& sender, BufferList message);
void GrpcFinish(ResponseSender& sender, const Status& status);

// The client's side. `path` is "/package.Service/Method".
RequestHead MakeGrpcRequest(std::string_view authority, std::string_view path,
                            std::optional<Duration> timeout = std::nullopt);

// Takes a unary answer; `done` is called once, with the message or with why there is none.
class GrpcUnaryResponse final : public ResponseReceiver {
 public:
  using Done = Function<void(Result<Buffer> message, bool unprocessed)>;
  GrpcUnaryResponse(size_t message_bytes_max, Done done);

  std::span<std::byte> BodyRoom(size_t expected) override { return reader_.BodyRoom(expected); }
  void OnBody(size_t bytes) override { reader_.OnBody(bytes); }
  void OnResponse(ResponseHead head) override;
  void OnResponseEnd(const Headers& trailers) override;
  void OnFailure(const Failure& failure) override;

 private:
  GrpcMessageReader reader_;
  Done done_;
  ResponseHead head_;
  std::optional<Buffer> message_;
  Status error_;
};

}  // namespace tepal::http
