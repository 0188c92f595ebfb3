// A call to the test service, made step by step: each step runs the loop until it is done.

#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "core/runtime/runtime.h"
#include "network/http/grpc.h"
#include "network/net/http_client.h"
#include "test/interop/messages.h"

namespace tepal::interop {

struct Channel {
  runtime::EpollLoop& loop;
  net::HttpClient& client;
  env::Address server;
  std::string authority;              // Empty: the address.
  http::GrpcCompression compression;  // Of requests.
};

class ClientCall {
 public:
  struct Options {
    std::optional<Duration> timeout;
    http::Headers metadata;
  };
  ClientCall(const Channel& channel, const std::string& path, Options options);
  ~ClientCall();

  void Send(const google::protobuf::MessageLite& message);
  void CloseSend();
  void Cancel();

  // The next message; nothing once the call has ended.
  std::optional<Buffer> Receive();
  // Waits for the end; messages that are left are thrown away.
  const http::GrpcEnd& Wait();
  // Waits for the server's first metadata, or the end.
  const http::Headers& Initial();

 private:
  void End(http::GrpcEnd end);
  template <typename Condition>
  void RunUntil(Condition&& condition);

  const Channel& channel_;
  std::unique_ptr<net::HttpClient::Exchange> exchange_;
  env::EventLoop::TimerId deadline_timer_ = 0;
  std::deque<Buffer> messages_;
  std::optional<http::Headers> initial_;
  std::optional<http::GrpcEnd> end_;
};

}  // namespace tepal::interop
