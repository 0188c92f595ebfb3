// A call of the test service: what all methods share.
//
// Metadata is echoed, the caller's deadline is kept and answers are compressed where asked for.

#pragma once

#include <deque>

#include "core/env/event_loop.h"
#include "network/http/grpc.h"
#include "test/interop/messages.h"

namespace tepal::interop {

class Call : public http::RequestReceiver {
 public:
  struct Door {
    env::EventLoop& loop;
    bool compress;  // Every answer, where the client takes it.
    std::string server_id;
  };
  Call(const Door& door, const http::RequestHead& head, http::ResponseSender& sender);
  ~Call() override;

  void OnReset(const Status& why) override;

 protected:
  void Start();
  void Write(const google::protobuf::MessageLite& message, bool compressed);
  void Finish(const Status& status);
  bool finished() const { return finished_; }

  const Door& door_;
  http::ResponseSender& sender_;

 private:
  http::Headers initial_;
  http::Headers trailers_;
  http::GrpcCompression compression_;
  env::EventLoop::TimerId deadline_timer_ = 0;
  bool started_ = false;
  bool finished_ = false;
};

// One message in, one out.
class UnaryCall : public Call {
 public:
  UnaryCall(const Door& door, const http::RequestHead& head, http::ResponseSender& sender);

  std::span<std::byte> BodyRoom(size_t expected) override { return request_.BodyRoom(expected); }
  Buffer OpenMemory() const override { return request_.OpenMemory(); }
  void OnBody(size_t bytes) override { request_.OnBody(bytes); }
  void OnRequestEnd(const http::Headers& trailers) override { request_.OnRequestEnd(trailers); }

 protected:
  virtual void OnMessage(const Buffer& message) = 0;

 private:
  http::GrpcUnaryRequest request_;
};

// Any number of messages, each way.
class StreamCall : public Call {
 public:
  StreamCall(const Door& door, const http::RequestHead& head, http::ResponseSender& sender);

  std::span<std::byte> BodyRoom(size_t expected) override { return request_.BodyRoom(expected); }
  Buffer OpenMemory() const override { return request_.OpenMemory(); }
  void OnBody(size_t bytes) override { request_.OnBody(bytes); }
  void OnRequestEnd(const http::Headers& trailers) override { request_.OnRequestEnd(trailers); }
  void OnReset(const Status& why) override { request_.OnReset(why); }
  void OnSendRoom() override { request_.OnSendRoom(); }

 protected:
  virtual void OnMessage(const Buffer& message) = 0;
  virtual void OnEnd() = 0;
  virtual void OnRoom() {}

 private:
  http::GrpcStreamRequest::Calls MakeCalls();
  http::GrpcStreamRequest request_;
};

// Null for a method that the service does not have.
std::unique_ptr<Call> NewCall(const Call::Door& door, const http::RequestHead& head,
                              http::ResponseSender& sender);

}  // namespace tepal::interop
