#include "network/http/grpc.h"

#include <algorithm>

#include "core/base/text.h"

namespace tepal::http {

namespace {

uint32_t ReadLength(const std::byte* bytes) {
  uint32_t length = 0;
  for (int i = 0; i < 4; ++i) length = length << 8 | std::to_integer<uint32_t>(bytes[i]);
  return length;
}

// The document of status codes: a unary method that gets no message, or two.
Status WrongCount() { return Unimplemented("a unary call takes exactly one message"); }

void AddHeadFields(const Headers* initial, ResponseHead& head) {
  head.headers.Add("content-type", "application/grpc");
  head.headers.Add("grpc-accept-encoding", "identity");
  if (initial == nullptr) return;
  for (const auto field : *initial) head.headers.Add(field.name, field.value);
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

void GrpcStart(ResponseSender& sender, const Headers* initial) {
  ResponseHead head;
  AddHeadFields(initial, head);
  sender.Start(std::move(head));
}

void GrpcWrite(ResponseSender& sender, BufferList message) {
  sender.Write(GrpcFrame(std::move(message)));
}

void GrpcFinish(ResponseSender& sender, const Status& status) {
  Headers trailers;
  AddGrpcStatus(status, trailers);
  sender.Finish(&trailers);
}

void GrpcRespond(ResponseSender& sender, BufferList message, const Headers* initial) {
  GrpcStart(sender, initial);
  GrpcWrite(sender, std::move(message));
  GrpcFinish(sender, Status());
}

void GrpcRespondError(ResponseSender& sender, const Status& error) {
  ResponseHead head;
  head.headers.Add("content-type", "application/grpc");
  AddGrpcStatus(error, head.headers);
  sender.Respond(std::move(head), {});
}

GrpcUnaryRequest::GrpcUnaryRequest(ResponseSender& sender, size_t message_bytes_max,
                                   Function<void(Buffer)> done,
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
      on_reset_(std::move(on_reset)) {}

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
  GrpcRespondError(sender_, why);
}

GrpcStreamRequest::GrpcStreamRequest(ResponseSender& sender, size_t message_bytes_max, Calls calls)
    : sender_(sender),
      calls_(std::move(calls)),
      reader_(
          message_bytes_max,
          [this](Buffer message) {
            if (!over_) calls_.on_message(std::move(message));
          },
          [this](const Status& why) { Refuse(why); }) {}

void GrpcStreamRequest::Resume() {
  reader_.Pause(false);
  if (!over_) sender_.ResumeBody();
}

void GrpcStreamRequest::OnRequestEnd(const Headers&) {
  if (over_) return;
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
  GrpcRespondError(sender_, why);
  GrpcFinish(sender_, why);
}

RequestHead MakeGrpcRequest(std::string_view authority, std::string_view path,
                            std::optional<Duration> timeout) {
  RequestHead head;
  head.method = "POST";
  head.target = path;
  head.authority = authority;
  head.scheme = "http";
  head.version = Version::kHttp2;
  head.headers.Add("te", "trailers");
  head.headers.Add("content-type", "application/grpc");
  head.headers.Add("grpc-accept-encoding", "identity");
  if (timeout.has_value()) head.headers.Add("grpc-timeout", FormatGrpcTimeout(*timeout));
  return head;
}

GrpcUnaryResponse::GrpcUnaryResponse(size_t message_bytes_max, Done done)
    : reader_(
          message_bytes_max,
          [this](Buffer message) {
            if (message_.has_value()) error_ = Internal("two messages in a unary answer");
            message_ = std::move(message);
          },
          [this](Status why) { error_ = std::move(why); }),
      done_(std::move(done)) {}

void GrpcUnaryResponse::OnResponse(ResponseHead head) { head_ = std::move(head); }

void GrpcUnaryResponse::OnResponseEnd(const Headers& trailers) {
  std::optional<Status> status = ReadGrpcStatus(trailers);
  if (!status) status = ReadGrpcStatus(head_.headers);
  if (!status) status = GrpcStatusFromHttp(head_.status);
  if (!status->ok()) return done_(*status, false);
  if (!error_.ok()) return done_(error_, false);
  if (reader_.truncated()) return done_(Internal("the answer ends within its message"), false);
  if (!message_.has_value()) return done_(Internal("an answer without a message"), false);
  done_(*std::exchange(message_, std::nullopt), false);
}

void GrpcUnaryResponse::OnFailure(const Failure& failure) {
  done_(failure.why, failure.unprocessed);
}

}  // namespace tepal::http
