#include "serving/frontend/grpc/grpc_frontend.h"

#include <gtest/gtest.h>

#include "serving/frontend/grpc/grpc_test_support.h"

namespace tepal {
namespace {

class GrpcFrontendTest : public GrpcDoorTest {};

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

TEST_F(GrpcFrontendTest, TellsItsLoadInTrailers) {
  LoadReporter reporter(
      core, [] { return Duration{}; }, 1);
  GrpcFrontendOptions options;
  options.load_reporter = &reporter;
  handler = NewGrpcFrontend(core, loop, blocking, options);
  CallService("ModelInfer", InferMessage("echo"));
  loop.RunAll();
  EXPECT_EQ(sender->headers.at("grpc-status"), "0");
  EXPECT_FALSE(sender->headers.contains("endpoint-load-metrics-bin"));
  for (const auto& [format, field] :
       {std::pair("text", "endpoint-load-metrics"), std::pair("JSON", "endpoint-load-metrics"),
        std::pair("bin", "endpoint-load-metrics-bin")}) {
    http::Headers metadata;
    metadata.Add("endpoint-load-metrics-format", format);
    CallWith("/inference.GRPCInferenceService/ModelInfer", InferMessage("echo"), metadata);
    loop.RunAll();
    EXPECT_TRUE(sender->headers.contains(field)) << format;
    CallWith("/inference.GRPCInferenceService/ModelInfer", InferMessage("none"), metadata);
    EXPECT_TRUE(sender->headers.contains(field)) << format;
  }
  options.load_report_always = true;
  handler = NewGrpcFrontend(core, loop, blocking, options);
  for (const char* method : {"ModelInfer", "ModelStreamInfer"}) {
    Begin(std::string("/inference.GRPCInferenceService/") + method);
    ASSERT_TRUE(SendMessage(InferMessage("echo")));
    receiver->OnRequestEnd({});
    loop.RunAll();
    http::Headers trailers;
    trailers.Add("endpoint-load-metrics-bin", sender->headers.at("endpoint-load-metrics-bin"));
    const auto reports = http::ReadBinaryMetadata(trailers, "endpoint-load-metrics-bin");
    ASSERT_EQ(reports.size(), 1u);
    EXPECT_EQ(reports[0], reporter.Binary(loop.Now())) << method;
  }
}

TEST_F(GrpcFrontendTest, TellsTheModelsLoadToABalancerThatAsks) {
  CallService("ModelInfer", InferMessage("echo"));
  loop.RunAll();
  EXPECT_FALSE(sender->headers.contains("tepal-load"));
  http::Headers metadata;
  metadata.Add("tepal-load-report", "1");
  core.echo->statistics_.AddInFlight(2);
  CallWith("/inference.GRPCInferenceService/ModelInfer", InferMessage("echo"), metadata);
  loop.RunAll();
  EXPECT_EQ(sender->headers.at("tepal-load"),
            "in_flight=1,queued=0,wait_us=0,each_us=0,instances=1,room=0,all=1,ready=1");
  // Also when the model refuses.
  CallWith("/inference.GRPCInferenceService/ModelInfer", InferMessage("echo", "Z"), metadata);
  loop.RunAll();
  EXPECT_NE(sender->headers.at("grpc-status"), "0");
  EXPECT_TRUE(sender->headers.contains("tepal-load"));
}

}  // namespace
}  // namespace tepal
