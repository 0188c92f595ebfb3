// The server's side of gRPC: receivers of requests, and answers.

#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "core/base/function.h"
#include "network/http/grpc_message.h"
#include "network/http/stream.h"

namespace tepal::http {

// Answers: one message and OK, or an error without a message. `initial`, `trailers`: further
// metadata; grpc-status-details-bin is passed on like any other.
void GrpcRespond(ResponseSender& sender, BufferList message, const Headers* initial = nullptr,
                 GrpcCompression compression = {}, const Headers* trailers = nullptr);
void GrpcRespondError(ResponseSender& sender, const Status& error,
                      const Headers* trailers = nullptr);

// Takes a unary request and calls `done` once with its message; malformed requests are answered
// here. `on_reset`: the client has given up. `done` may answer at any time (see stream.h), with
// GrpcRespond or GrpcRespondError.
class GrpcUnaryRequest final : public RequestReceiver {
 public:
  GrpcUnaryRequest(const RequestHead& head, ResponseSender& sender, size_t message_bytes_max,
                   Function<void(Buffer)> done, Function<void(const Status&)> on_reset = nullptr);

  std::span<std::byte> BodyRoom(size_t expected) override { return reader_.BodyRoom(expected); }
  void OnBody(size_t bytes) override { reader_.OnBody(bytes); }
  Buffer OpenMemory() const override { return reader_.OpenMemory(); }
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
    // The server drains: no further message is given, and the call should end with an error once
    // those before are answered. on_end may still follow, from a client that has missed nothing.
    // Without this function calls go on until they end by themselves.
    Function<void()> on_drain;
  };
  GrpcStreamRequest(const RequestHead& head, ResponseSender& sender, size_t message_bytes_max,
                    Calls calls);

  // No further messages until Resume.
  void Pause() { reader_.Pause(true); }
  void Resume();

  std::span<std::byte> BodyRoom(size_t expected) override { return reader_.BodyRoom(expected); }
  void OnBody(size_t bytes) override;
  Buffer OpenMemory() const override { return reader_.OpenMemory(); }
  void OnRequestEnd(const Headers& trailers) override;
  void OnReset(const Status& why) override;
  void OnSendRoom() override;
  // Messages are given as long as they, or a part of one, came before.
  void OnDrain(size_t bytes_waiting) override;

 private:
  void Refuse(const Status& why);
  void StopReading();

  ResponseSender& sender_;
  Calls calls_;
  GrpcMessageReader reader_;
  std::optional<size_t> bytes_until_drained_;
  bool drained_ = false;
  bool missed_some_ = false;  // Something came after that.
  bool over_ = false;
};

// The answers of a stream: a head, any number of messages, a status.
// Every message of it may be compressed by what GrpcStart has named, or not.
void GrpcStart(ResponseSender& sender, const Headers* initial = nullptr,
               GrpcCompression compression = {});
void GrpcWrite(ResponseSender& sender, BufferList message, GrpcCompression compression = {});
void GrpcFinish(ResponseSender& sender, const Status& status, const Headers* trailers = nullptr);

}  // namespace tepal::http
