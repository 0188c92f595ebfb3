#include "test/interop/server_call.h"

namespace tepal::interop {

Call::Call(const Door& door, const http::RequestHead& head, http::ResponseSender& sender)
    : door_(door), sender_(sender) {
  if (const auto value = head.headers.Get(kEchoInitial)) initial_.Add(kEchoInitial, *value);
  for (const std::string& bytes : http::ReadBinaryMetadata(head.headers, kEchoTrailing)) {
    http::AddBinaryMetadata(kEchoTrailing, bytes, trailers_);
  }
  compression_ = http::GrpcAnswerCompression(head.headers, http::Effort::kMedium);
  const Result<Instant> deadline = http::GrpcDeadline(head.headers, door.loop.Now());
  if (!deadline.ok()) Finish(deadline.status());
  if (!deadline.ok() || deadline.value() == Instant::max()) return;
  deadline_timer_ = door.loop.RunAt(
      deadline.value(), [this] { Finish(DeadlineExceeded("the deadline has passed")); });
}

Call::~Call() {
  if (deadline_timer_ != 0) door_.loop.Cancel(deadline_timer_);
}

void Call::OnReset(const Status&) { finished_ = true; }

void Call::Start() {
  if (finished_ || std::exchange(started_, true)) return;
  http::GrpcStart(sender_, &initial_, compression_);
}

void Call::Write(const google::protobuf::MessageLite& message, bool compressed) {
  if (finished_) return;
  Start();
  const bool compress = compressed || door_.compress;
  http::GrpcWrite(sender_, Serialize(message), compress ? compression_ : http::GrpcCompression());
}

void Call::Finish(const Status& status) {
  if (std::exchange(finished_, true)) return;
  if (!started_ && !status.ok()) return http::GrpcRespondError(sender_, status, &trailers_);
  if (!started_) http::GrpcStart(sender_, &initial_, compression_);
  http::GrpcFinish(sender_, status, &trailers_);
}

UnaryCall::UnaryCall(const Door& door, const http::RequestHead& head, http::ResponseSender& sender)
    : Call(door, head, sender),
      request_(head, sender, kMessageBytesMax, [this](const Buffer& message) {
        if (!finished()) OnMessage(message);
      }) {}

StreamCall::StreamCall(const Door& door, const http::RequestHead& head,
                       http::ResponseSender& sender)
    : Call(door, head, sender), request_(head, sender, kMessageBytesMax, MakeCalls()) {}

http::GrpcStreamRequest::Calls StreamCall::MakeCalls() {
  http::GrpcStreamRequest::Calls calls;
  calls.on_message = [this](const Buffer& message) {
    if (!finished()) OnMessage(message);
  };
  calls.on_end = [this] {
    if (!finished()) OnEnd();
  };
  calls.on_reset = [this](const Status& why) { Call::OnReset(why); };
  calls.on_send_room = [this] { OnRoom(); };
  return calls;
}

}  // namespace tepal::interop
