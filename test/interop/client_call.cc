#include "test/interop/client_call.h"

namespace tepal::interop {

ClientCall::ClientCall(const Channel& channel, const std::string& path, Options options)
    : channel_(channel) {
  http::RequestHead head =
      http::MakeGrpcRequest(channel.authority, path, options.timeout, channel.compression);
  for (const auto field : options.metadata) head.headers.Add(field.name, field.value);
  http::GrpcStreamResponse::Calls calls;
  calls.on_start = [this](const http::Headers& initial) {
    initial_ = initial;
    channel_.loop.Stop();
  };
  calls.on_message = [this](Buffer message) {
    messages_.push_back(std::move(message));
    channel_.loop.Stop();
  };
  calls.on_end = [this](http::GrpcEnd end) { End(std::move(end)); };
  exchange_ = channel.client.Send(
      channel.server, std::move(head), false,
      std::make_unique<http::GrpcStreamResponse>(kMessageBytesMax, std::move(calls)));
  if (!options.timeout.has_value()) return;
  deadline_timer_ = channel.loop.RunAfter(*options.timeout, [this] {
    exchange_.reset();
    End({DeadlineExceeded("the deadline has passed"), false, {}, {}});
  });
}

ClientCall::~ClientCall() {
  if (deadline_timer_ != 0) channel_.loop.Cancel(deadline_timer_);
}

void ClientCall::Send(const google::protobuf::MessageLite& message) {
  if (exchange_ == nullptr) return;
  http::GrpcWrite(exchange_->sender(), Serialize(message), channel_.compression);
}

void ClientCall::CloseSend() {
  if (exchange_ != nullptr) exchange_->sender().Finish();
}

void ClientCall::Cancel() {
  exchange_.reset();
  messages_.clear();
  End({Cancelled("given up by the caller"), false, {}, {}});
}

std::optional<Buffer> ClientCall::Receive() {
  RunUntil([this] { return !messages_.empty() || end_.has_value(); });
  if (messages_.empty()) return std::nullopt;
  Buffer message = std::move(messages_.front());
  messages_.pop_front();
  return message;
}

const http::GrpcEnd& ClientCall::Wait() {
  RunUntil([this] { return end_.has_value(); });
  return *end_;
}

const http::Headers& ClientCall::Initial() {
  RunUntil([this] { return initial_.has_value() || end_.has_value(); });
  if (!initial_.has_value()) initial_.emplace();
  return *initial_;
}

void ClientCall::End(http::GrpcEnd end) {
  if (end_.has_value()) return;
  end_ = std::move(end);
  channel_.loop.Stop();
}

// The loop is left whenever something has happened to this call.
template <typename Condition>
void ClientCall::RunUntil(Condition&& condition) {
  while (!condition()) channel_.loop.Run();
}

}  // namespace tepal::interop
