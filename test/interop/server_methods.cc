// The methods of grpc.testing.TestService.

#include "test/interop/server_call.h"

namespace tepal::interop {
namespace {

Status EchoedStatus(const grpc::testing::EchoStatus& status) {
  return {static_cast<StatusCode>(status.code()), status.message()};
}

class EmptyCall final : public UnaryCall {
 public:
  using UnaryCall::UnaryCall;

 private:
  void OnMessage(const Buffer&) override {
    Write(grpc::testing::Empty(), false);
    Finish(Status());
  }
};

class SimpleCall final : public UnaryCall {
 public:
  using UnaryCall::UnaryCall;

 private:
  void OnMessage(const Buffer& message) override {
    const auto request = Parse<grpc::testing::SimpleRequest>(message);
    if (!request.ok()) return Finish(request.status());
    if (request->response_status().code() != 0) {
      return Finish(EchoedStatus(request->response_status()));
    }
    if (request->response_size() < 0) return Finish(InvalidArgument("a negative response_size"));
    grpc::testing::SimpleResponse response;
    FillPayload(response, request->response_size());
    if (request->fill_server_id()) response.set_server_id(door_.server_id);
    Write(response, request->response_compressed().value());
    Finish(Status());
  }
};

// Adds up what comes.
class StreamingInputCall final : public StreamCall {
 public:
  using StreamCall::StreamCall;

 private:
  void OnMessage(const Buffer& message) override {
    const auto request = Parse<grpc::testing::StreamingInputCallRequest>(message);
    if (!request.ok()) return Finish(request.status());
    bytes_ += request->payload().body().size();
  }
  void OnEnd() override {
    grpc::testing::StreamingInputCallResponse response;
    response.set_aggregated_payload_size(static_cast<int32_t>(bytes_));
    Write(response, false);
    Finish(Status());
  }

  size_t bytes_ = 0;
};

// Sends what each message asks for, while more of them may come; StreamingOutputCall is the case of
// one message. Sends no faster than the client takes it.
class FullDuplexCall final : public StreamCall {
 public:
  FullDuplexCall(const Door& door, const http::RequestHead& head, http::ResponseSender& sender)
      : StreamCall(door, head, sender) {
    Start();
  }
  ~FullDuplexCall() override {
    if (pause_ != 0) door_.loop.Cancel(pause_);
  }

 private:
  void OnMessage(const Buffer& message) override {
    const auto request = Parse<grpc::testing::StreamingOutputCallRequest>(message);
    if (!request.ok()) return Finish(request.status());
    if (request->response_status().code() != 0) {
      return Finish(EchoedStatus(request->response_status()));
    }
    for (const auto& response : request->response_parameters()) due_.push_back(response);
    SendDue();
  }
  void OnEnd() override {
    ended_ = true;
    SendDue();
  }
  void OnRoom() override { SendDue(); }

  void SendDue() {
    constexpr size_t kUnsentMax = 1u << 20;
    while (pause_ == 0 && !due_.empty() && sender_.unsent_bytes() < kUnsentMax) {
      if (due_.front().interval_us() > 0) {
        pause_ = door_.loop.RunAfter(std::chrono::microseconds(due_.front().interval_us()), [this] {
          pause_ = 0;
          SendFirst();
          SendDue();
        });
      } else {
        SendFirst();
      }
      if (finished()) return;
    }
    if (ended_ && due_.empty()) Finish(Status());
  }
  void SendFirst() {
    if (finished()) return;
    const grpc::testing::ResponseParameters parameters = due_.front();
    due_.pop_front();
    if (parameters.size() < 0) return Finish(InvalidArgument("a negative size"));
    grpc::testing::StreamingOutputCallResponse response;
    FillPayload(response, parameters.size());
    Write(response, parameters.compressed().value());
  }

  std::deque<grpc::testing::ResponseParameters> due_;
  env::EventLoop::TimerId pause_ = 0;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<Call> NewCall(const Call::Door& door, const http::RequestHead& head,
                              http::ResponseSender& sender) {
  constexpr std::string_view kService = "/grpc.testing.TestService/";
  if (!head.path().starts_with(kService)) return nullptr;
  const std::string_view method = head.path().substr(kService.size());
  if (method == "EmptyCall") return std::make_unique<EmptyCall>(door, head, sender);
  if (method == "UnaryCall") return std::make_unique<SimpleCall>(door, head, sender);
  if (method == "StreamingInputCall") {
    return std::make_unique<StreamingInputCall>(door, head, sender);
  }
  if (method == "StreamingOutputCall" || method == "FullDuplexCall") {
    return std::make_unique<FullDuplexCall>(door, head, sender);
  }
  return nullptr;
}

}  // namespace tepal::interop
