#include "network/http/grpc_server.h"

#include <algorithm>
#include <utility>

#include "network/http/grpc_text.h"

namespace tepal::http {

namespace {

// The document of status codes: a unary method that gets no message, or two.
Status WrongCount() { return Unimplemented("a unary call takes exactly one message"); }

void AddAll(const Headers* from, Headers& to) {
  if (from == nullptr) return;
  for (const auto field : *from) to.Add(field.name, field.value);
}

// A client whose encoding we do not know must be told which ones we do.
void RespondRefusal(ResponseSender& sender, const Status& why) {
  Headers fields;
  if (why.code() == StatusCode::kUnimplemented) {
    fields.Add("grpc-accept-encoding", kGrpcAcceptEncoding);
  }
  GrpcRespondError(sender, why, &fields);
}

}  // namespace

void GrpcStart(ResponseSender& sender, const Headers* initial, GrpcCompression compression) {
  ResponseHead head;
  head.headers.Add("content-type", "application/grpc");
  head.headers.Add("grpc-accept-encoding", kGrpcAcceptEncoding);
  AddGrpcEncoding(compression, head.headers);
  AddAll(initial, head.headers);
  sender.Start(std::move(head));
}

void GrpcWrite(ResponseSender& sender, BufferList message, GrpcCompression compression) {
  sender.Write(GrpcFrame(std::move(message), compression));
}

void GrpcFinish(ResponseSender& sender, const Status& status, const Headers* trailers) {
  Headers fields;
  AddGrpcStatus(status, fields);
  AddAll(trailers, fields);
  sender.Finish(&fields);
}

void GrpcRespond(ResponseSender& sender, BufferList message, const Headers* initial,
                 GrpcCompression compression, const Headers* trailers) {
  GrpcStart(sender, initial, compression);
  GrpcWrite(sender, std::move(message), compression);
  GrpcFinish(sender, Status(), trailers);
}

void GrpcRespondError(ResponseSender& sender, const Status& error, const Headers* trailers) {
  ResponseHead head;
  head.headers.Add("content-type", "application/grpc");
  AddGrpcStatus(error, head.headers);
  AddAll(trailers, head.headers);
  sender.Respond(std::move(head), {});
}

GrpcUnaryRequest::GrpcUnaryRequest(const RequestHead& head, ResponseSender& sender,
                                   size_t message_bytes_max, Function<void(Buffer)> done,
                                   Function<void(const Status&)> on_reset)
    : sender_(sender),
      reader_(
          message_bytes_max,
          [this](Buffer message) {
            if (message_.has_value()) return Refuse(WrongCount());
            message_ = std::move(message);
          },
          [this](const Status& why) { Refuse(why); }),
      done_(std::move(done)),
      on_reset_(std::move(on_reset)) {
  reader_.SetEncoding(head.headers);
  reader_.TakeMemoryFrom(sender);
}

void GrpcUnaryRequest::OnRequestEnd(const Headers&) {
  if (refused_) return;
  if (reader_.truncated()) return Refuse(Internal("the request ends within its message"));
  if (!message_.has_value()) return Refuse(WrongCount());
  done_(*std::exchange(message_, std::nullopt));
}

void GrpcUnaryRequest::OnReset(const Status& why) {
  if (!refused_ && on_reset_) on_reset_(why);
}

void GrpcUnaryRequest::Refuse(const Status& why) {
  if (refused_) return;
  refused_ = true;
  RespondRefusal(sender_, why);
}

GrpcStreamRequest::GrpcStreamRequest(const RequestHead& head, ResponseSender& sender,
                                     size_t message_bytes_max, Calls calls)
    : sender_(sender),
      calls_(std::move(calls)),
      reader_(
          message_bytes_max,
          [this](Buffer message) {
            if (!over_) calls_.on_message(std::move(message));
          },
          [this](const Status& why) { Refuse(why); }) {
  reader_.SetEncoding(head.headers);
  reader_.TakeMemoryFrom(sender);
}

void GrpcStreamRequest::Resume() {
  reader_.Pause(false);
  if (!over_) sender_.ResumeBody();
}

void GrpcStreamRequest::OnBody(size_t bytes) {
  reader_.OnBody(bytes);
  missed_some_ |= drained_;
  if (!bytes_until_drained_) return;
  *bytes_until_drained_ -= std::min(bytes, *bytes_until_drained_);
  StopReading();
}

void GrpcStreamRequest::OnDrain(size_t bytes_waiting) {
  if (over_ || !calls_.on_drain) return;
  bytes_until_drained_ = bytes_waiting;
  StopReading();
}

void GrpcStreamRequest::StopReading() {
  if (over_ || *bytes_until_drained_ > 0 || reader_.truncated()) return;
  bytes_until_drained_.reset();
  drained_ = true;
  reader_.Discard();
  calls_.on_drain();
}

void GrpcStreamRequest::OnRequestEnd(const Headers&) {
  if (over_ || missed_some_) return;
  if (reader_.truncated()) return Refuse(Internal("the request ends within a message"));
  calls_.on_end();
}

void GrpcStreamRequest::OnReset(const Status& why) {
  if (std::exchange(over_, true)) return;
  calls_.on_reset(why);
}

void GrpcStreamRequest::OnSendRoom() {
  if (!over_ && calls_.on_send_room) calls_.on_send_room();
}

// The application may have begun its answer: then its trailers say what is wrong.
void GrpcStreamRequest::Refuse(const Status& why) {
  if (std::exchange(over_, true)) return;
  calls_.on_reset(why);
  RespondRefusal(sender_, why);
  GrpcFinish(sender_, why);
}

}  // namespace tepal::http
