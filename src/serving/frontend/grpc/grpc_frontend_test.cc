#include "serving/frontend/grpc/grpc_frontend.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "network/http/grpc.h"
#include "serving/frontend/frontend_fakes.h"
#include "serving/kserve/proto_writer.h"

namespace tepal {
namespace {

template <typename Fill>
std::string Message(Fill&& fill) {
  kserve::ByteWriter bytes(64);
  kserve::ProtoWriter out(bytes);
  fill(out);
  return std::string(bytes.Take().text());
}

std::string InferMessage(std::string_view model, std::string_view input = "X") {
  return Message([&](kserve::ProtoWriter& out) {
    out.Text(1, model);
    out.Text(3, "42");
    out.Message(5, [&](kserve::ProtoWriter& tensor) {
      tensor.Text(1, input);
      tensor.Text(2, "FP32");
      tensor.Int(3, 1);
    });
    out.Bytes(7, "abcd");
  });
}

class GrpcFrontendTest : public ::testing::Test {
 protected:
  void Call(std::string method, std::string_view message, std::string_view timeout = {},
            std::string_view content_type = "application/grpc") {
    http::RequestHead head;
    head.method = "POST";
    head.version = http::Version::kHttp2;
    head.target = std::move(method);
    head.headers.Add("content-type", content_type);
    head.headers.Add("te", "trailers");
    if (!timeout.empty()) head.headers.Add("grpc-timeout", timeout);
    head.has_body = true;
    const Buffer body = Flatten(http::GrpcFrame({Buffer::Copy(message)}));
    sender = std::make_unique<FakeSender>();
    receiver = handler->OnRequest(std::move(head), *sender);
    std::string_view left = body.text();
    while (!left.empty() && sender->answers == 0) {
      const std::span<std::byte> room = receiver->BodyRoom(left.size());
      ASSERT_FALSE(room.empty());
      const size_t step = std::min(room.size(), left.size());
      std::memcpy(room.data(), left.data(), step);
      receiver->OnBody(step);
      left.remove_prefix(step);
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

  FakeCore core;
  FakeLoop loop;
  FakeExecutor blocking;
  std::unique_ptr<http::RequestHandler> handler = NewGrpcFrontend(core, loop, blocking, {});
  std::unique_ptr<FakeSender> sender;
  std::unique_ptr<http::RequestReceiver> receiver;
};

TEST_F(GrpcFrontendTest, AnswersCalls) {
  const std::string yes("\x08\x01", 2);
  CallService("ServerLive", "");
  EXPECT_EQ(Got(), yes);
  CallService("ServerReady", "");
  EXPECT_EQ(Got(), yes);
  CallService("ModelReady", Message([](kserve::ProtoWriter& out) { out.Text(1, "echo"); }));
  EXPECT_EQ(Got(), yes);
  CallService("ModelReady", Message([](kserve::ProtoWriter& out) { out.Text(1, "nope"); }));
  EXPECT_EQ(Got(), "");
  Call("/grpc.health.v1.Health/Check", "");
  EXPECT_EQ(Got(), yes);
  core.SetLameDuck();
  CallService("ServerReady", "");
  EXPECT_EQ(Got(), "");
  Call("/grpc.health.v1.Health/Check", "");
  EXPECT_EQ(Got(), std::string("\x08\x02", 2));
  CallService("ModelMetadata", Message([](kserve::ProtoWriter& out) { out.Text(1, "nope"); }));
  EXPECT_EQ(Got(), "5 Request for unknown model: 'nope' is not found");
  CallService("ModelReady", Message([](kserve::ProtoWriter& out) { out.Text(2, "x"); }));
  EXPECT_EQ(Got(),
            "3 failed to get model version from specified version string 'x' (details: stol), "
            "version should be an integral value > 0");
  CallService("Nope", "");
  EXPECT_EQ(Got(), "12 ");
  CallService("LogSettings", "");
  EXPECT_EQ(Got(), "12 LogSettings is not supported yet");
  Call("/x", "", {}, "text/plain");
  EXPECT_EQ(sender->status, 415);
}

TEST_F(GrpcFrontendTest, Infers) {
  CallService("ModelInfer", InferMessage("echo"));
  const std::string answer = Got();
  EXPECT_NE(answer.find("\x0a\x04"
                        "echo\x12\x01"
                        "1\x1a\x02"
                        "42"),
            std::string::npos);
  EXPECT_TRUE(
      answer.ends_with("\x32\x04"
                       "abcd"));
  CallService("ModelInfer", InferMessage("nope"));
  EXPECT_EQ(Got(), "5 Request for unknown model: 'nope' is not found");
  CallService("ModelInfer", InferMessage("echo", "Z"));
  EXPECT_EQ(Got(), "3 no X");
  CallService("ModelInfer", InferMessage("stream"));
  EXPECT_EQ(Got(), "12 ModelInfer RPC doesn't support models with decoupled transaction policy");
  CallService("ModelInfer", "\xff\xff\xff");
  EXPECT_EQ(Got(), "13 Unable to parse request");
}

TEST_F(GrpcFrontendTest, ADeadlineEndsTheCallAndCancelsTheWork) {
  core.answer_at_once = false;
  CallService("ModelInfer", InferMessage("echo"), "5S");
  EXPECT_EQ(core.given->deadline, loop.Now() + 5s);
  ASSERT_EQ(loop.timers.size(), 1u);
  EXPECT_EQ(sender->answers, 0);
  loop.timers.begin()->second();
  EXPECT_EQ(Got(), "4 Deadline Exceeded");
  EXPECT_TRUE(core.given->cancelled());
  core.AnswerGiven();
  loop.RunAll();
  EXPECT_EQ(sender->answers, 1);
  receiver.reset();
  EXPECT_TRUE(loop.timers.empty());
}

TEST_F(GrpcFrontendTest, AResetCancels) {
  core.answer_at_once = false;
  CallService("ModelInfer", InferMessage("echo"));
  receiver->OnReset(Cancelled("reset"));
  EXPECT_TRUE(core.given->cancelled());
  receiver.reset();
  core.AnswerGiven();
  loop.RunAll();
  EXPECT_EQ(sender->answers, 0);
}

TEST_F(GrpcFrontendTest, LoadsAndUnloads) {
  const auto parameter = [](kserve::ProtoWriter& out, std::string_view key, auto value) {
    out.Message(3, [&](kserve::ProtoWriter& entry) {
      entry.Text(1, key);
      entry.Message(2, value);
    });
  };
  CallService("RepositoryModelLoad", Message([&](kserve::ProtoWriter& out) {
                out.Text(2, "m");
                parameter(out, "config", [](kserve::ProtoWriter& value) { value.Text(3, "{}"); });
              }));
  loop.RunAll();
  EXPECT_EQ(Got(), "");
  EXPECT_EQ(core.loaded, "m/{}");
  CallService("RepositoryModelUnload", Message([&](kserve::ProtoWriter& out) {
                out.Text(2, "m");
                parameter(out, "unload_dependents",
                          [](kserve::ProtoWriter& value) { value.Bool(1, true); });
              }));
  loop.RunAll();
  EXPECT_EQ(core.loaded, "-m+");
  CallService("RepositoryModelLoad", Message([&](kserve::ProtoWriter& out) {
                out.Text(2, "m");
                parameter(out, "config", [](kserve::ProtoWriter& value) { value.Bool(1, true); });
              }));
  EXPECT_EQ(Got(), "3 invalid value type for load parameter 'config', expected string_param.");
}

}  // namespace
}  // namespace tepal
