#include "serving/frontend/http/http_frontend.h"

#include <gtest/gtest.h>

#include <cstring>

#include "network/http/compression.h"
#include "serving/frontend/frontend_fakes.h"
#include "serving/frontend/http/metrics_page.h"
#include "serving/frontend/http/server_timing.h"

namespace tepal {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

class HttpFrontendTest : public ::testing::Test {
 protected:
  // The request's head and body go in; the receiver stays for what comes later.
  void Send(std::string method, std::string target, std::string_view body = {},
            const Fields& fields = {}, bool length_known = true) {
    http::RequestHead head;
    head.method = std::move(method);
    head.target = std::move(target);
    for (const auto& [name, value] : fields) head.headers.Add(name, value);
    if (length_known && !body.empty()) head.content_length = body.size();
    head.has_body = !body.empty();
    sender = std::make_unique<FakeSender>();
    sender->budget = budget;
    receiver = handler->OnRequest(std::move(head), *sender);
    constexpr size_t kStep = 1000;
    while (!body.empty() && sender->answers == 0) {
      const std::span<std::byte> room = receiver->BodyRoom(body.size());
      ASSERT_FALSE(room.empty());
      const size_t step = std::min({room.size(), body.size(), kStep});
      std::memcpy(room.data(), body.data(), step);
      receiver->OnBody(step);
      body.remove_prefix(step);
    }
    if (body.empty()) receiver->OnRequestEnd({});
  }
  std::string Got() const { return std::to_string(sender->status) + " " + sender->text; }

  FakeCore core;
  FakeLoop loop;
  FakeExecutor blocking;
  Budget* budget = nullptr;
  HttpFrontendOptions options{.body_bytes_max = 100'000};
  std::unique_ptr<http::RequestHandler> handler = NewHttpFrontend(core, loop, blocking, options);
  std::unique_ptr<FakeSender> sender;
  std::unique_ptr<http::RequestReceiver> receiver;
};

constexpr char kInfer[] =
    R"({"id":"7","inputs":[{"name":"X","shape":[2],"datatype":"FP32","data":[1,2.5]}]})";
constexpr char kAnswer[] =
    R"(200 {"id":"7","model_name":"echo","model_version":"1","outputs":[{"name":"Y","datatype":"FP32","shape":[2],"data":[1.0,2.5]}]})";

TEST_F(HttpFrontendTest, AnswersRoutes) {
  Send("GET", "/v2/health/live");
  EXPECT_EQ(Got(), "200 ");
  Send("GET", "/v2/health/ready?x=1");
  EXPECT_EQ(Got(), "200 ");
  core.SetLameDuck();
  Send("GET", "/v2/health/ready");
  EXPECT_EQ(Got(), "400 ");
  Send("GET", "/v2");
  EXPECT_TRUE(sender->text.starts_with(R"({"name":"triton","version":"2.51.0","extensions":[)"))
      << sender->text;
  Send("GET", "/v2/models/echo");
  EXPECT_EQ(
      Got(),
      R"(200 {"name":"echo","versions":["1"],"platform":"fake","inputs":[{"name":"X","datatype":"FP32","shape":[-1]}],"outputs":[{"name":"Y","datatype":"FP32","shape":[-1]}]})");
  Send("GET", "/v2/models/echo/versions/1/config");
  EXPECT_EQ(Got(), R"(200 {"name":"echo"})");
  Send("GET", "/v2/models/ec%68o/ready");
  EXPECT_EQ(Got(), "200 ");
  Send("GET", "/v2/models/nope/ready");
  EXPECT_EQ(Got(), R"(400 {"error":"Model version not ready"})");
  Send("GET", "/v2/models/nope");
  EXPECT_EQ(Got(), R"(404 {"error":"Request for unknown model: 'nope' is not found"})");
  Send("GET", "/v2/models/nope/stats");
  EXPECT_EQ(Got(), R"(400 {"error":"requested model 'nope' is not available"})");
  Send("GET", "/v2/models/echo/versions/9/stats");
  EXPECT_EQ(Got(), R"(400 {"error":"requested model version is not available for model 'echo'"})");
  Send("GET", "/v2/models/stats");
  EXPECT_EQ(
      Got(),
      R"(200 {"model_stats":[{"name":"echo","version":"1","last_inference":0,"inference_count":0,"execution_count":0,"inference_stats":{"success":{"count":0,"ns":0},"fail":{"count":0,"ns":0},"queue":{"count":0,"ns":0},"compute_input":{"count":0,"ns":0},"compute_infer":{"count":0,"ns":0},"compute_output":{"count":0,"ns":0},"cache_hit":{"count":0,"ns":0},"cache_miss":{"count":0,"ns":0}},"response_stats":{},"batch_stats":[],"memory_usage":[]}]})");
  Send("POST", "/v2/repository/index");
  EXPECT_EQ(
      Got(),
      R"(200 [{"name":"echo","version":"1","state":"READY"},{"name":"old","state":"UNAVAILABLE","reason":"unloaded"}])");
  Send("POST", "/v2/repository/index", R"({"ready": true})");
  EXPECT_EQ(Got(), R"(200 [{"name":"echo","version":"1","state":"READY"}])");
}

TEST_F(HttpFrontendTest, RefusesWhatTritonRefuses) {
  for (const char* target : {"/", "/v2/", "/v3", "/v2/models", "/v2/models/", "/v2/models/m/nope",
                             "/v2/models/m/versions/abc/infer", "/metrics", "v2"}) {
    Send("GET", target);
    EXPECT_EQ(Got(), R"(404 {"error":"Not Found"})") << target;
  }
  for (const auto& [method, target] :
       std::vector<std::pair<std::string, std::string>>{{"POST", "/v2/health/live"},
                                                        {"HEAD", "/v2/health/live"},
                                                        {"GET", "/v2/repository/index"},
                                                        {"GET", "/v2/models/echo/infer"},
                                                        {"PUT", "/v2/models/echo/infer"},
                                                        {"DELETE", "/v2/models/echo"}}) {
    Send(method, target);
    EXPECT_EQ(Got(), R"(405 {"error":"Method Not Allowed"})") << target;
  }
  for (const char* target : {"/v2/logging", "/v2/trace/setting", "/v2/models/echo/trace/setting"}) {
    Send("PUT", target, "{}");
    EXPECT_EQ(sender->status, 405) << target;
  }
  Send("POST", "/v2/models/stream/generate", R"({"X":1})");
  EXPECT_EQ(sender->status, 501) << sender->text;
  Send("POST", "/v2/models/stream/infer", kInfer);
  EXPECT_EQ(
      Got(),
      R"(501 {"error":"HTTP end point doesn't support models with decoupled transaction policy"})");
  Send("POST", "/v2/models/echo/versions/99999999999999999999/infer", kInfer);
  EXPECT_EQ(sender->status, 400);
}

TEST_F(HttpFrontendTest, RestrictedGroupsNeedTheirHeader) {
  ASSERT_TRUE(options.restricted.Add("inference,logging:K=secret").ok());
  handler = NewHttpFrontend(core, loop, blocking, options);
  const std::string refused = R"(403 {"error":"This API is restricted, expecting header 'K'"})";
  for (const char* action : {"infer", "generate", "generate_stream", "versions/1/infer"}) {
    Send("POST", std::string("/v2/models/echo/") + action, kInfer);
    EXPECT_EQ(Got(), refused) << action;
  }
  Send("POST", "/v2/models/echo/infer", kInfer, {{"k", "Secret"}});
  EXPECT_EQ(Got(), refused);
  Send("GET", "/v2/logging");
  EXPECT_EQ(Got(), refused);
  Send("POST", "/v2/models/echo/infer", kInfer, {{"k", "secret"}});
  EXPECT_EQ(Got(), kAnswer);
  Send("GET", "/v2/health/live");
  EXPECT_EQ(Got(), "200 ");
}

TEST_F(HttpFrontendTest, TellsItsLoadToWhoAsks) {
  LoadReporter reporter(
      core, [] { return Duration{}; }, 1);
  options.load_reporter = &reporter;
  handler = NewHttpFrontend(core, loop, blocking, options);
  Send("POST", "/v2/models/echo/infer", kInfer);
  EXPECT_FALSE(sender->headers.contains("endpoint-load-metrics"));
  Send("POST", "/v2/models/echo/infer", kInfer, {{"endpoint-load-metrics-format", "text"}});
  EXPECT_TRUE(sender->headers["endpoint-load-metrics"].starts_with("TEXT cpu_utilization="));
  Send("POST", "/v2/models/echo/infer", kInfer, {{"endpoint-load-metrics-format", "json"}});
  EXPECT_TRUE(sender->headers["endpoint-load-metrics"].starts_with("JSON {"));
  Send("POST", "/v2/models/echo/infer", kInfer, {{"endpoint-load-metrics-format", "xml"}});
  EXPECT_FALSE(sender->headers.contains("endpoint-load-metrics"));
}

TEST_F(HttpFrontendTest, TellsTheModelsLoadToABalancerThatAsks) {
  core.echo->statistics_.AddInFlight(4);  // The one that is answered among them.
  core.echo->statistics_.AddPending(2);
  Send("POST", "/v2/models/echo/infer", kInfer);
  EXPECT_FALSE(sender->headers.contains("tepal-load"));
  const std::string load =
      "in_flight=3,queued=2,wait_us=0,each_us=0,instances=1,room=0,all=3,ready=1";
  Send("POST", "/v2/models/echo/infer", kInfer, {{"tepal-load-report", "1"}});
  EXPECT_EQ(sender->headers["tepal-load"], load);
  Send("POST", "/v2/models/nope/infer", kInfer, {{"tepal-load-report", "1"}});
  EXPECT_FALSE(sender->headers.contains("tepal-load"));
  Send("GET", "/v2/tepal/load");
  EXPECT_EQ(Got(),
            R"(200 {"ready":true,"in_flight":4,"models":[{"name":"echo","version":1,"ready":true,)"
            R"("in_flight":4,"queued":2,"wait_us":0,"each_us":0,"instances":1,"room":0}]})");
}

TEST_F(HttpFrontendTest, TellsWhereTheTimeWent) {
  Send("POST", "/v2/models/echo/infer", kInfer);
  EXPECT_FALSE(sender->headers.contains("server-timing"));
  Send("POST", "/v2/models/echo/infer", kInfer, {{"tepal-timing", "1"}});
  EXPECT_TRUE(sender->headers.contains("server-timing"));
  options.server_timing = true;
  handler = NewHttpFrontend(core, loop, blocking, options);
  Send("POST", "/v2/models/echo/infer", kInfer);
  EXPECT_TRUE(sender->headers.contains("server-timing"));
}

TEST_F(HttpFrontendTest, ForwardsHeadersAsParameters) {
  options.forwarded_headers = *HeaderForwarding::New("^my-");
  handler = NewHttpFrontend(core, loop, blocking, options);
  core.answer_at_once = false;
  for (const auto& [path, body] :
       {std::pair("infer", kInfer), std::pair("generate", R"({"X":1})")}) {
    Send("POST", std::string("/v2/models/echo/") + path, body,
         {{"my-user", "ann"}, {"other", "no"}});
    ASSERT_NE(core.given, nullptr) << Got();
    ASSERT_EQ(core.given->parameters.size(), 1u) << path;
    EXPECT_EQ(core.given->parameters[0].name, "my-user");
    EXPECT_EQ(std::get<std::string>(core.given->parameters[0].value), "ann");
    core.AnswerGiven();
  }
}

TEST(ServerTimingTest, TellsWhatIsKnown) {
  RequestTimes times;
  EXPECT_EQ(ServerTiming(times), "");
  times.received = Instant(1s);
  times.queued = times.received + 21us;
  times.compute_start = times.queued + 310us;
  EXPECT_EQ(ServerTiming(times), "receive;dur=0.021, queue;dur=0.310");
  times.compute_input_end = times.compute_start + 4us;
  times.compute_output_start = times.compute_input_end + 1250us;
  times.compute_end = times.compute_output_start;
  EXPECT_EQ(ServerTiming(times),
            "receive;dur=0.021, queue;dur=0.310, input;dur=0.004, infer;dur=1.250, "
            "output;dur=0.000");
}

TEST_F(HttpFrontendTest, InfersOnTheLoop) {
  Send("POST", "/v2/models/echo/infer", kInfer);
  EXPECT_EQ(Got(), kAnswer);
  EXPECT_EQ(sender->headers["content-type"], "application/json");
  EXPECT_TRUE(loop.tasks.empty());
  Send("POST", "/v2/models/echo/versions/1/infer", kInfer, {}, false);
  EXPECT_EQ(Got(), kAnswer);
  Send("POST", "/v2/models/echo/infer", "{not json");
  EXPECT_EQ(
      Got(),
      R"(400 {"error":"failed to parse the request JSON buffer: Missing a name for object member. at 1"})");
  Send("POST", "/v2/models/nope/infer", kInfer);
  EXPECT_EQ(sender->status, 404);
}

TEST_F(HttpFrontendTest, WorkersAnswerThroughOneWakeOfTheLoop) {
  core.answer_at_once = false;
  std::vector<std::unique_ptr<FakeSender>> senders;
  std::vector<std::unique_ptr<http::RequestReceiver>> receivers;
  for (int i = 0; i < 3; ++i) {
    Send("POST", "/v2/models/echo/infer", kInfer);
    loop.in_loop = false;
    core.AnswerGiven();
    loop.in_loop = true;
    EXPECT_EQ(sender->answers, 0);
    senders.push_back(std::move(sender));
    receivers.push_back(std::move(receiver));
  }
  EXPECT_EQ(loop.tasks.size(), 1u);
  loop.RunAll();
  for (const auto& each : senders) {
    EXPECT_EQ(each->answers, 1);
    EXPECT_EQ("200 " + each->text, kAnswer);
  }
}

TEST_F(HttpFrontendTest, AClientThatHasGoneIsCancelledAndNotAnswered) {
  core.answer_at_once = false;
  Send("POST", "/v2/models/echo/infer", kInfer);
  EXPECT_FALSE(core.given->cancelled());
  receiver->OnReset(Cancelled("the connection is gone"));
  EXPECT_TRUE(core.given->cancelled());
  receiver.reset();
  core.AnswerGiven();
  loop.RunAll();
  EXPECT_EQ(sender->answers, 0);
}

TEST_F(HttpFrontendTest, BinaryTensorsLieOnABoundaryAndAreSentUncopied) {
  core.answer_at_once = false;
  const std::string json =
      R"({"inputs":[{"name":"X","shape":[4],"datatype":"FP32","parameters":{"binary_data_size":16}}],"parameters":{"binary_data_output":true}})";
  Send("POST", "/v2/models/echo/infer", json + "0123456789abcdef",
       {{"inference-header-content-length", std::to_string(json.size())}});
  const std::byte* data = core.given->inputs.front().data.front().data();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(data) % kSlabAlignment, 0u);
  core.AnswerGiven();
  EXPECT_EQ(sender->headers["content-type"], "application/octet-stream");
  ASSERT_EQ(sender->pieces.size(), 2u);
  EXPECT_EQ(sender->pieces[1].data(), data);
  EXPECT_EQ(sender->headers["inference-header-content-length"],
            std::to_string(sender->pieces[0].size()));
  EXPECT_EQ(sender->pieces[1].text(), "0123456789abcdef");
}

TEST_F(HttpFrontendTest, CompressesBothWays) {
  const Buffer zipped = Flatten(http::Compress(http::Encoding::kGzip, {Buffer::Copy(kInfer)}));
  Send("POST", "/v2/models/echo/infer", zipped.text(),
       {{"content-encoding", "gzip"}, {"accept-encoding", "deflate"}});
  EXPECT_EQ(sender->headers["content-encoding"], "deflate");
  Result<Buffer> plain = http::Decompress(http::Encoding::kDeflate, sender->text, 10'000);
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ("200 " + std::string(plain->text()), kAnswer);
  Send("POST", "/v2/models/echo/infer", "notgzip", {{"content-encoding", "gzip"}});
  EXPECT_EQ(sender->status, 400);
  Send("POST", "/v2/models/echo/infer", kInfer, {{"content-encoding", "br"}});
  EXPECT_EQ(Got(), R"(501 {"error":"Unsupported compression type"})");
  EXPECT_EQ(sender->headers["accept-encoding"], "gzip, deflate");
}

TEST_F(HttpFrontendTest, DecompressedBodiesAreInTheBudget) {
  Budget bodies(1000);
  budget = &bodies;
  const auto zipped = [](std::string_view text) {
    return Flatten(http::Compress(http::Encoding::kGzip, {Buffer::Copy(text)}));
  };
  core.hold = true;
  Send("POST", "/v2/models/echo/infer", zipped(kInfer).text(), {{"content-encoding", "gzip"}});
  ASSERT_EQ(core.held.size(), 1u);
  core.held.clear();
  core.hold = false;
  const std::string large = kInfer + std::string(5000, ' ');
  Send("POST", "/v2/models/echo/infer", zipped(large).text(), {{"content-encoding", "gzip"}});
  EXPECT_EQ(Got(), R"(503 {"error":"the server has no memory for the request's body now"})");
  EXPECT_EQ(bodies.refusals(), 1u);
  EXPECT_EQ(bodies.used(), 0u);
  budget = nullptr;
  Send("POST", "/v2/models/echo/infer", zipped(large).text(), {{"content-encoding", "gzip"}});
  EXPECT_EQ(Got(), kAnswer);
}

TEST_F(HttpFrontendTest, BodiesHaveALimit) {
  const std::string body(options.body_bytes_max + 1, ' ');
  Send("POST", "/v2/models/echo/infer", body);
  EXPECT_EQ(sender->status, 413);
  Send("POST", "/v2/models/echo/infer", body, {}, false);
  EXPECT_EQ(sender->status, 413);
  const Buffer zipped = Flatten(http::Compress(http::Encoding::kGzip, {Buffer::Copy(body)}));
  Send("POST", "/v2/models/echo/infer", zipped.text(), {{"content-encoding", "gzip"}});
  EXPECT_GE(sender->status, 400);
}

TEST_F(HttpFrontendTest, ClassifiesWithLabels) {
  Send(
      "POST", "/v2/models/echo/infer",
      R"({"inputs":[{"name":"X","shape":[3],"datatype":"FP32","data":[1,3,2]}],"outputs":[{"name":"Y","parameters":{"classification":2}}]})");
  EXPECT_NE(sender->text.find(R"("data":["3.000000:1:rose","2.000000:2"])"), std::string::npos)
      << sender->text;
}

TEST_F(HttpFrontendTest, LoadsAndUnloads) {
  Send("POST", "/v2/repository/models/m/load", R"({"parameters":{"config":"{}"}})");
  loop.RunAll();
  EXPECT_EQ(Got(), "200 ");
  EXPECT_EQ(core.loaded, "m/{}");
  Send("POST", "/v2/repository/models/m/unload", R"({"parameters":{"unload_dependents":true}})");
  loop.RunAll();
  EXPECT_EQ(core.loaded, "-m+");
  Send("POST", "/v2/repository/models/bad/load");
  loop.RunAll();
  EXPECT_EQ(Got(),
            R"(503 {"error":"explicit model load / unload is not allowed if polling is enabled"})");
  Send("POST", "/v2/repository/models/m/load", "{nope");
  EXPECT_EQ(sender->status, 400);
  Send("POST", "/v2/repository/models/m/load");
  receiver.reset();
  loop.RunAll();
  EXPECT_EQ(sender->answers, 0);
}

TEST_F(HttpFrontendTest, MetricsPage) {
  telemetry::MetricsRegistry registry;
  FakeClock clock;
  AddInferenceMetrics(registry, core, clock);
  core.echo->config_.metric_tags = {{"team", "a"}};
  core.echo->statistics_.AddPending(2);
  core.echo->statistics_.AddFailure(FailureReason::kRejected, 1ms);
  handler = NewMetricsFrontend(registry);
  Send("GET", "/metrics");
  EXPECT_EQ(sender->status, 200);
  EXPECT_TRUE(sender->text.starts_with(
      "# HELP nv_inference_request_success Number of successful inference requests, all batch "
      "sizes\n# TYPE nv_inference_request_success counter\nnv_inference_request_success"
      "{model=\"echo\",team=\"a\",version=\"1\"} 0\n"))
      << sender->text;
  for (const char* line :
       {"nv_inference_request_failure{model=\"echo\",reason=\"REJECTED\",team=\"a\",version=\"1\"} "
        "1\n",
        "nv_inference_pending_request_count{model=\"echo\",team=\"a\",version=\"1\"} 2\n",
        "# TYPE nv_inference_queue_duration_us counter\n", "tepal_inference_in_flight{"}) {
    EXPECT_NE(sender->text.find(line), std::string::npos) << line << sender->text;
  }
  EXPECT_EQ(sender->text.find("summary"), std::string::npos);
  Send("GET", "/");
  EXPECT_EQ(sender->status, 404);
}

TEST_F(HttpFrontendTest, MetricsOfLatenciesAreChosen) {
  core.echo = std::make_shared<FakeModel>("echo", true);
  telemetry::MetricsRegistry registry;
  FakeClock clock;
  AddInferenceMetrics(registry, core, clock,
                      {.counters = false, .summaries = true, .quantiles = {0.5, 0.999}});
  const std::string none = registry.Text();
  EXPECT_NE(none.find("nv_inference_request_summary_us_count{model=\"echo\",version=\"1\"} 0\n"),
            std::string::npos)
      << none;
  EXPECT_NE(none.find("{model=\"echo\",version=\"1\",quantile=\"0.5\"} NaN\n"), std::string::npos);
  for (int i = 1; i <= 100; ++i) {
    const Duration took = i * std::chrono::microseconds(10);
    core.echo->statistics_.AddSuccess({took, 1us, 2us, 3us, 4us, clock.WallNow()});
  }
  const std::string page = registry.Text();
  for (const char* line :
       {"# TYPE nv_inference_request_summary_us summary\n"
        "nv_inference_request_summary_us_count{model=\"echo\",version=\"1\"} 100\n"
        "nv_inference_request_summary_us_sum{model=\"echo\",version=\"1\"} 50500\n"
        "nv_inference_request_summary_us{model=\"echo\",version=\"1\",quantile=\"0.5\"} 496\n"
        "nv_inference_request_summary_us{model=\"echo\",version=\"1\",quantile=\"0.999\"} 992\n",
        "nv_inference_compute_output_summary_us{model=\"echo\",version=\"1\",quantile=\"0.5\"} "
        "4\n"}) {
    EXPECT_NE(page.find(line), std::string::npos) << line << page;
  }
  EXPECT_EQ(page.find("nv_inference_request_duration_us"), std::string::npos);
  EXPECT_NE(page.find("nv_inference_count{"), std::string::npos);
}

}  // namespace
}  // namespace tepal
