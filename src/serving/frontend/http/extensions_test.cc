// The routes of the extensions: shared memory, trace and log settings, generate.

#include <gtest/gtest.h>

#include <cstring>

#include "core/telemetry/log.h"
#include "serving/frontend/frontend_fakes.h"
#include "serving/frontend/http/http_frontend.h"
#include "sim/simulated_shared_memory.h"

namespace tepal {
namespace {

class ExtensionsTest : public ::testing::Test {
 protected:
  ~ExtensionsTest() override { EXPECT_TRUE(telemetry::SetLogSettings(before_).ok()); }

  // "200 text" of the answer.
  std::string Ask(std::string method, std::string target, std::string_view body = {}) {
    http::RequestHead head;
    head.method = std::move(method);
    head.target = std::move(target);
    head.content_length = body.size();
    head.has_body = !body.empty();
    receiver_.reset();
    sender = std::make_unique<FakeSender>();
    receiver_ = handler_->OnRequest(std::move(head), *sender);
    if (!body.empty()) {
      const std::span<std::byte> room = receiver_->BodyRoom(body.size());
      EXPECT_GE(room.size(), body.size());
      std::memcpy(room.data(), body.data(), body.size());
      receiver_->OnBody(body.size());
    }
    receiver_->OnRequestEnd({});
    return std::to_string(sender->status) + " " + sender->text;
  }

  sim::SimulatedSharedMemory files;
  std::vector<std::byte>& object = files.objects.try_emplace("/k", 64).first->second;
  SharedMemoryRegions regions{files};
  FakeCore core;
  std::unique_ptr<FakeSender> sender;

 private:
  const telemetry::LogSettings before_ = telemetry::GetLogSettings();
  FakeLoop loop_;
  FakeExecutor blocking_;
  std::unique_ptr<http::RequestHandler> handler_ = NewHttpFrontend(
      core, loop_, blocking_, {.body_bytes_max = 10'000, .shared_memory = &regions});
  std::unique_ptr<http::RequestReceiver> receiver_;
};

TEST_F(ExtensionsTest, RegionsComeAndGo) {
  const std::string base = "/v2/systemsharedmemory";
  EXPECT_EQ(Ask("GET", base + "/status"), "200 []");
  EXPECT_EQ(Ask("POST", base + "/region/r/register", R"({"key":"/k","offset":8,"byte_size":32})"),
            "200 ");
  const std::string listed = R"(200 [{"name":"r","key":"/k","offset":8,"byte_size":32}])";
  EXPECT_EQ(Ask("GET", base + "/status"), listed);
  EXPECT_EQ(Ask("GET", base + "/region/r/status"), listed);
  EXPECT_EQ(Ask("POST", base + "/region/r/register", R"({"key":"/k","byte_size":32})"),
            R"(400 {"error":"shared memory region 'r' already in manager"})");
  EXPECT_EQ(Ask("POST", base + "/region/r/unregister"), "200 ");
  EXPECT_EQ(Ask("GET", base + "/region/r/status"),
            R"(404 {"error":"Unable to find system shared memory region: 'r'"})");
  EXPECT_EQ(Ask("POST", base + "/region/s/register", R"({"key":"/k","byte_size":32})"), "200 ");
  EXPECT_EQ(Ask("POST", base + "/unregister"), "200 ");
  EXPECT_EQ(Ask("GET", base + "/status"), "200 []");
  EXPECT_EQ(Ask("POST", base + "/region/s/register", R"({"key":"/k"})"),
            R"(400 {"error":"Shared memory register request has no 'byte_size' field"})");
}

TEST_F(ExtensionsTest, TensorsLieInRegions) {
  ASSERT_TRUE(regions.Register({"r", "/k", 0, 64}).ok());
  const float values[] = {1, 2.5};
  std::memcpy(object.data() + 8, values, sizeof(values));
  core.answer_at_once = false;
  Ask("POST", "/v2/models/echo/infer",
      R"({"inputs":[{"name":"X","shape":[2],"datatype":"FP32","parameters":{)"
      R"("shared_memory_region":"r","shared_memory_offset":8,"shared_memory_byte_size":8}}],)"
      R"("outputs":[{"name":"Y","parameters":{"shared_memory_region":"r",)"
      R"("shared_memory_offset":32,"shared_memory_byte_size":8}}]})");
  ASSERT_NE(core.given, nullptr) << sender->text;
  EXPECT_EQ(core.given->inputs[0].data.front().data(), object.data() + 8);
  Buffer room = core.given->sink->OutputMemory("Y", 8);
  EXPECT_EQ(room.data(), object.data() + 32);
  EXPECT_TRUE(core.given->sink->OutputMemory("other", 8).empty());
  core.AnswerGiven();
  EXPECT_EQ(
      sender->text,
      R"({"model_name":"echo","model_version":"1","outputs":[{"name":"Y","datatype":"FP32","shape":[2]}]})");
}

TEST_F(ExtensionsTest, ThereIsNoCudaMemory) {
  const std::string base = "/v2/cudasharedmemory";
  EXPECT_EQ(Ask("GET", base + "/status"), "200 []");
  EXPECT_EQ(Ask("POST", base + "/unregister"), "200 ");
  EXPECT_EQ(Ask("POST", base + "/region/x/register",
                R"({"raw_handle":{"b64":"AAAA"},"device_id":0,"byte_size":64})"),
            R"(400 {"error":"'raw_handle' must be a valid base64 encoded cudaIpcMemHandle_t"})");
  Ask("POST", base + "/region/x/register",
      R"({"raw_handle":{"b64":")" + std::string(86, 'A') + R"(=="},"device_id":0,"byte_size":64})");
  EXPECT_EQ(sender->status, 503);
  EXPECT_NE(sender->text.find("this server uses no GPU"), std::string::npos) << sender->text;
}

TEST_F(ExtensionsTest, AnnouncesWhatThereIs) {
  Ask("GET", "/v2");
  EXPECT_NE(sender->text.find(R"("statistics","logging"])"), std::string::npos) << sender->text;
}

TEST_F(ExtensionsTest, ModelsFollowTheServersTraceSettings) {
  const auto settings = [](std::string_view rate, std::string_view count) {
    return R"(200 {"trace_level":["OFF"],"trace_rate":")" + std::string(rate) +
           R"(","trace_count":")" + std::string(count) +
           R"(","log_frequency":"0","trace_file":"","trace_mode":"triton"})";
  };
  const std::string server = "/v2/trace/setting", model = "/v2/models/echo/trace/setting";
  EXPECT_EQ(Ask("GET", server), settings("1000", "-1"));
  EXPECT_EQ(Ask("POST", model, R"({"trace_rate":"7"})"), settings("7", "-1"));
  EXPECT_EQ(Ask("POST", server, R"({"trace_rate":"5","trace_count":"9"})"), settings("5", "9"));
  EXPECT_EQ(Ask("GET", model), settings("7", "9"));
  EXPECT_EQ(Ask("POST", model, R"({"trace_rate":null})"), settings("5", "9"));
  // All or nothing.
  EXPECT_EQ(Ask("POST", server, R"({"trace_rate":"6","trace_count":"x"})"),
            R"(400 {"error":"Unable to parse 'trace_count', got: x"})");
  EXPECT_EQ(Ask("GET", server), settings("5", "9"));
  EXPECT_EQ(
      Ask("POST", server, R"({"trace_level":["TIMESTAMPS"]})"),
      R"(400 {"error":"Attempting to set invalid trace setting :trace file name is not given"})");
  EXPECT_EQ(Ask("GET", "/v2/models/nope/trace/setting"),
            R"(400 {"error":"Request for unknown model : nope"})");
}

TEST_F(ExtensionsTest, LogSettingsTakeEffectTogether) {
  EXPECT_EQ(
      Ask("POST", "/v2/logging",
          R"({"log_verbose_level":2,"log_info":false,"log_format":"ISO8601"})"),
      R"(200 {"log_file":"","log_info":false,"log_warning":true,"log_error":true,"log_verbose_level":2,"log_format":"ISO8601"})");
  EXPECT_EQ(telemetry::GetLogSettings().verbose_level, 2);
  EXPECT_FALSE(telemetry::GetLogSettings().info);
  EXPECT_EQ(Ask("POST", "/v2/logging", R"({"log_info":true,"log_verbose_level":"x"})"),
            R"(400 {"error":"attempt to access JSON non-unsigned-integer as unsigned-integer"})");
  EXPECT_FALSE(telemetry::GetLogSettings().info);
  EXPECT_EQ(Ask("POST", "/v2/logging", R"({"log_file":"/x"})"),
            R"(501 {"error":"log file location can not be updated through network protocol"})");
}

TEST_F(ExtensionsTest, GeneratesOneAnswerOrOneEvent) {
  EXPECT_EQ(Ask("POST", "/v2/models/echo/generate", R"({"id":"i","X":[1,2]})"),
            R"(200 {"Y":[1.0,2.0],"id":"i","model_name":"echo","model_version":"1"})");
  EXPECT_EQ(sender->headers["content-type"], "application/json");
  EXPECT_EQ(Ask("POST", "/v2/models/echo/versions/1/generate_stream", R"({"X":3})"),
            "200 data: {\"Y\":3.0,\"model_name\":\"echo\",\"model_version\":\"1\"}\n\n");
  EXPECT_EQ(sender->headers["content-type"], "text/event-stream; charset=utf-8");
  // Refused before the model has it: no event.
  EXPECT_EQ(Ask("POST", "/v2/models/echo/generate_stream", "{}"), R"(400 {"error":"no X"})");
  EXPECT_EQ(Ask("POST", "/v2/models/nope/generate", R"({"X":3})"),
            R"(404 {"error":"Request for unknown model: 'nope' is not found"})");
  core.answer_at_once = false;
  Ask("POST", "/v2/models/echo/generate_stream", R"({"X":3})");
  ASSERT_NE(core.given, nullptr);
  InferenceRequest::Fail(std::move(core.given), Internal("model said no"));
  EXPECT_EQ(sender->status, 400);
  EXPECT_EQ(sender->text, "data: {\"error\":\"model said no\"}\n\n");
}

TEST_F(ExtensionsTest, AClientOfGenerateThatHasGoneIsCancelled) {
  core.answer_at_once = false;
  Ask("POST", "/v2/models/echo/generate", R"({"X":3})");
  ASSERT_NE(core.given, nullptr);
  const std::shared_ptr<CancellationToken> token = core.given->cancellation;
  Ask("GET", "/v2/health/live");  // Ends the exchange before.
  EXPECT_TRUE(token->cancelled());
}

}  // namespace
}  // namespace tepal
