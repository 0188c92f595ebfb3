// The whole HTTP door over fakes: the first byte chooses the route, the rest is the body. Whatever
// it is, there is one answer: JSON, an event, or nothing with 200.

#include <cstdlib>

#include "core/telemetry/log.h"
#include "serving/frontend/fuzz_support.h"
#include "serving/frontend/http/http_frontend.h"

namespace {

void Check(bool condition) {
  if (!condition) std::abort();
}

// The first of them are asked for as raw bodies, too.
constexpr const char* kRoutes[] = {
    "/v2/models/echo/infer",
    "/v2/models/echo/generate",
    "/v2/models/echo/generate_stream",
    "/v2/repository/index",
    "/v2/repository/models/m/load",
    "/v2/repository/models/m/unload",
    "/v2/logging",
    "/v2/trace/setting",
    "/v2/models/echo/trace/setting",
    "/v2/systemsharedmemory/region/r/register",
    "/v2/systemsharedmemory/region/r/unregister",
    "/v2/cudasharedmemory/region/r/register",
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tepal;  // NOLINT: one function.
  if (size < 2) return 0;
  static const bool quiet = telemetry::SetLogSettings({.info = false, .warning = false}).ok();
  Check(quiet);
  const std::string_view body(reinterpret_cast<const char*>(data) + 2, size - 2);
  CheckingCore core;
  FakeLoop loop;
  FakeExecutor blocking;
  OneSharedObject objects;
  SharedMemoryRegions regions(objects, nullptr);
  HttpFrontendOptions options{.body_bytes_max = 100'000, .shared_memory = &regions};
  const auto handler = NewHttpFrontend(core, loop, blocking, options);
  FakeSender sender;
  http::RequestHead head;
  head.method = "POST";
  head.target = kRoutes[data[0] % std::size(kRoutes)];
  if (data[0] >= 128) {
    head.headers.Add("inference-header-content-length", std::to_string(data[1]));
  } else if (data[1] % 8 == 7) {
    head.headers.Add("content-encoding", data[1] % 16 == 7 ? "gzip" : "deflate");
  }
  if (data[1] % 2 == 0) head.content_length = body.size();
  head.has_body = !body.empty();
  const auto receiver = handler->OnRequest(std::move(head), sender);
  if (!SendBody(*receiver, sender, body, 1 + data[1])) return 0;
  if (!sender.done()) receiver->OnRequestEnd({});
  loop.RunAll();
  Check(sender.answers == 1);
  Check(sender.status == 200 || (sender.status >= 400 && sender.status < 600));
  if (sender.status != 200) Check(sender.text.find("\"error\"") != std::string::npos);
  return 0;
}
