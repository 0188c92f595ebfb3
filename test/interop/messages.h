// Messages of the test service, to and from the buffers that the layer under test carries.

#pragma once

#include <google/protobuf/message_lite.h>

#include "core/base/result.h"
#include "core/buffer/buffer.h"
#include "test_service.pb.h"

namespace tepal::interop {

inline constexpr size_t kMessageBytesMax = 64u << 20;

// A caller's metadata that comes back, in the head and in the trailers.
inline constexpr std::string_view kEchoInitial = "x-grpc-test-echo-initial";
inline constexpr std::string_view kEchoTrailing = "x-grpc-test-echo-trailing-bin";

inline BufferList Serialize(const google::protobuf::MessageLite& message) {
  Buffer bytes = Buffer::Allocate(message.ByteSizeLong());
  TEPAL_CHECK(message.SerializeToArray(bytes.data(), static_cast<int>(bytes.size())));
  BufferList list;
  if (!bytes.empty()) list.push_back(std::move(bytes));
  return list;
}

template <typename Message>
Result<Message> Parse(const Buffer& bytes) {
  Message message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return Internal("the message is no " + message.GetTypeName());
  }
  return message;
}

// Zeros, as the cases want them.
template <typename Message>
void FillPayload(Message& message, int32_t size) {
  message.mutable_payload()->mutable_body()->assign(static_cast<size_t>(size), '\0');
}

}  // namespace tepal::interop
