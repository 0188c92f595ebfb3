// Calls a gRPC front end with fakes below it, message by message: for the tests of this room.

#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "network/http/grpc.h"
#include "serving/frontend/frontend_fakes.h"
#include "serving/frontend/grpc/grpc_frontend.h"
#include "serving/kserve/proto_reader.h"
#include "serving/kserve/proto_writer.h"

namespace tepal {

template <typename Fill>
std::string Message(Fill&& fill) {
  kserve::ByteWriter bytes(64);
  kserve::ProtoWriter out(bytes);
  fill(out);
  return std::string(bytes.Take().text());
}

inline std::string InferMessage(std::string_view model, std::string_view input = "X",
                                std::string_view id = "42") {
  return Message([&](kserve::ProtoWriter& out) {
    out.Text(1, model);
    out.Text(3, id);
    out.Message(5, [&](kserve::ProtoWriter& tensor) {
      tensor.Text(1, input);
      tensor.Text(2, "FP32");
      tensor.Int(3, 1);
    });
    out.Bytes(7, "abcd");
  });
}

class GrpcDoorTest : public ::testing::Test {
 protected:
  void Begin(std::string method, const http::Headers& metadata = {},
             std::string_view content_type = "application/grpc") {
    http::RequestHead head;
    head.method = "POST";
    head.version = http::Version::kHttp2;
    head.target = std::move(method);
    head.headers.Add("content-type", content_type);
    head.headers.Add("te", "trailers");
    for (const auto field : metadata) head.headers.Add(field.name, field.value);
    head.has_body = true;
    sender = std::make_unique<FakeSender>();
    receiver = handler->OnRequest(std::move(head), *sender);
  }
  // False when it is not taken, or only in part, because reading is paused.
  bool SendMessage(std::string_view message) {
    const Buffer body = Flatten(http::GrpcFrame({Buffer::Copy(message)}));
    std::string_view left = body.text();
    while (!left.empty()) {
      const std::span<std::byte> room = receiver->BodyRoom(left.size());
      if (room.empty()) return false;
      const size_t step = std::min(room.size(), left.size());
      std::memcpy(room.data(), left.data(), step);
      receiver->OnBody(step);
      left.remove_prefix(step);
    }
    return true;
  }
  void Call(std::string method, std::string_view message, std::string_view timeout = {},
            std::string_view content_type = "application/grpc") {
    http::Headers metadata;
    if (!timeout.empty()) metadata.Add("grpc-timeout", timeout);
    CallWith(std::move(method), message, metadata, content_type);
  }
  void CallWith(std::string method, std::string_view message, const http::Headers& metadata,
                std::string_view content_type = "application/grpc") {
    Begin(std::move(method), metadata, content_type);
    if (sender->answers == 0) {
      ASSERT_TRUE(SendMessage(message));
    }
    if (sender->answers == 0) receiver->OnRequestEnd({});
  }
  void CallService(std::string_view method, std::string_view message,
                   std::string_view timeout = {}) {
    Call("/inference.GRPCInferenceService/" + std::string(method), message, timeout);
  }
  // The message of an answer without its prefix, or the error.
  std::string Got() const {
    if (sender->headers.at("grpc-status") != "0") {
      const auto text = sender->headers.find("grpc-message");
      return sender->headers.at("grpc-status") + " " +
             (text == sender->headers.end() ? "" : http::DecodeGrpcMessage(text->second));
    }
    return sender->text.substr(5);
  }
  // Every message of a stream's answer so far.
  std::vector<std::string> Messages() const {
    std::vector<std::string> messages;
    std::string_view left = sender->text;
    while (left.size() >= 5) {
      size_t size = 0;
      for (size_t i = 1; i < 5; ++i) size = size << 8 | static_cast<unsigned char>(left[i]);
      messages.emplace_back(left.substr(5, size));
      left.remove_prefix(5 + size);
    }
    return messages;
  }

  FakeCore core;
  FakeLoop loop;
  FakeExecutor blocking;
  std::unique_ptr<http::RequestHandler> handler = NewGrpcFrontend(core, loop, blocking, {});
  std::unique_ptr<FakeSender> sender;
  std::unique_ptr<http::RequestReceiver> receiver;
};

}  // namespace tepal
