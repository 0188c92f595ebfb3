// One unary gRPC call to a Unix socket of the kubelet.

#pragma once

#include <google/protobuf/message_lite.h>

#include <memory>
#include <string>
#include <string_view>

#include "core/base/function.h"
#include "core/buffer/buffer.h"
#include "core/env/event_loop.h"
#include "network/net/http_client.h"

namespace tepal::node_agent {

BufferList Serialize(const google::protobuf::MessageLite& message);

template <typename Message>
Result<Message> ParseMessage(const Buffer& bytes) {
  Message message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return InvalidArgument("the message is no protobuf of its kind");
  }
  return message;
}

inline constexpr size_t kKubeletMessageBytesMax = 16 << 20;

// A client of its own for each call, because the kubelet's sockets come and go with it. Destroying
// it drops the call.
class UnaryCall {
 public:
  using Done = Function<void(Status, Buffer)>;
  // `done` runs once, never inside the constructor, unless this is destroyed before.
  UnaryCall(env::EventLoop& loop, const std::string& socket, std::string_view method,
            const google::protobuf::MessageLite& request, Duration time_max, Done done);
  ~UnaryCall();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace tepal::node_agent
