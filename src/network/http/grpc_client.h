// The client's side of gRPC: requests, and receivers of what comes back.
//
// A call ends once, with a status: the server's, or ours when what it sent is no gRPC. Deadlines
// are told to the server (`timeout`), but nothing here has a clock: whoever makes the call also
// gives it up when the time has passed.

#pragma once

#include <optional>
#include <string_view>

#include "core/base/function.h"
#include "core/base/status.h"
#include "core/base/time.h"
#include "network/http/grpc_message.h"
#include "network/http/stream.h"

namespace tepal::http {

// `path` is "/package.Service/Method". Further metadata is added to its headers.
RequestHead MakeGrpcRequest(std::string_view authority, std::string_view path,
                            std::optional<Duration> timeout = std::nullopt,
                            GrpcCompression compression = {});

// One message of a request, compressed as its head says or not; `sender.Finish()` says that it was
// the last.
void GrpcWrite(RequestSender& sender, BufferList message, GrpcCompression compression = {});

// How a call ended.
struct GrpcEnd {
  Status status;
  // The server has not begun with it: it may be sent again wherever the caller likes.
  bool unprocessed = false;
  // The server's first metadata; empty when it answered by trailers alone.
  Headers initial;
  // The fields beside the status: grpc-status-details-bin and the server's own. Empty when the call
  // ended without its word.
  Headers trailers;
};

// Takes any number of messages, one by one.
class GrpcStreamResponse final : public ResponseReceiver {
 public:
  struct Calls {
    Function<void(Buffer)> on_message;
    // The last call, made once. When the server's bytes were no gRPC it has not ended the stream
    // itself: cancelling the request (or destroying its Exchange) is then up to the caller.
    Function<void(GrpcEnd)> on_end;
    Function<void(const Headers&)> on_start;  // Has the first metadata. May be empty.
    Function<void()> on_send_room;            // May be empty.
  };
  GrpcStreamResponse(size_t message_bytes_max, Calls calls);

  // No further messages until Resume. Resume takes the sender of the same request.
  void Pause() { reader_.Pause(true); }
  void Resume(RequestSender& sender);

  std::span<std::byte> BodyRoom(size_t expected) override { return reader_.BodyRoom(expected); }
  void OnBody(size_t bytes) override { reader_.OnBody(bytes); }
  Buffer OpenMemory() const override { return reader_.OpenMemory(); }
  void OnResponse(ResponseHead head) override;
  void OnResponseEnd(const Headers& trailers) override;
  void OnFailure(const Failure& failure) override;
  void OnSendRoom() override;

 private:
  void End(GrpcEnd end);

  Calls calls_;
  GrpcMessageReader reader_;
  ResponseHead head_;
  bool over_ = false;
};

// Takes a unary answer: `done` is called once, as on_end above. The message is there when the
// status is OK.
class GrpcUnaryResponse final : public ResponseReceiver {
 public:
  using Done = Function<void(GrpcEnd end, Buffer message)>;
  GrpcUnaryResponse(size_t message_bytes_max, Done done);

  std::span<std::byte> BodyRoom(size_t expected) override { return stream_.BodyRoom(expected); }
  void OnBody(size_t bytes) override { stream_.OnBody(bytes); }
  Buffer OpenMemory() const override { return stream_.OpenMemory(); }
  void OnResponse(ResponseHead head) override { stream_.OnResponse(std::move(head)); }
  void OnResponseEnd(const Headers& trailers) override { stream_.OnResponseEnd(trailers); }
  void OnFailure(const Failure& failure) override { stream_.OnFailure(failure); }

 private:
  GrpcStreamResponse::Calls MakeCalls();
  void End(GrpcEnd end);

  GrpcStreamResponse stream_;
  Done done_;
  Buffer message_;
  size_t messages_ = 0;
};

}  // namespace tepal::http
