#include "balancing/load_balancer/access_log.h"

#include <gtest/gtest.h>

#include "core/json/value.h"

namespace tepal::lb {
namespace {

TEST(AccessLogTest, ALineIsOneJsonObject) {
  AccessEntry entry;
  entry.time = WallTime(1'767'323'045s + 6us);
  entry.request_id = "id\n\"x";  // As bad as a header can be, and worse.
  entry.client = "10.0.0.1";
  entry.method = "POST";
  entry.path = "/v2/models/m/infer";
  entry.protocol = "HTTP/2";
  entry.model = "m";
  entry.upstream = "http";
  entry.status = 200;
  entry.tries = {{"10.0.0.1:8000", 3ms}, {"10.0.0.2:8000", 5us}};
  entry.time_total = 1s;
  entry.time_waited = 7us;
  entry.bytes_received = 1;
  entry.bytes_sent = 2;
  const std::string line = AccessLine(entry);
  EXPECT_EQ(
      line,
      R"({"time":"2026-01-02T03:04:05.000006Z","request_id":"id\n\"x","client":"10.0.0.1",)"
      R"("method":"POST","path":"/v2/models/m/infer","protocol":"HTTP/2","model":"m",)"
      R"("upstream":"http","status":200,"tries":[{"endpoint":"10.0.0.1:8000","time_us":3000},)"
      R"({"endpoint":"10.0.0.2:8000","time_us":5}],"time_us":1000000,"queue_us":7,)"
      R"("bytes_received":1,"bytes_sent":2})"
      "\n");
  EXPECT_TRUE(json::Parse(line).ok());
  entry.traceparent = "00-1-2-01";
  entry.user = "a";
  entry.error = "e";
  entry.broken_off = true;
  const auto parsed = json::Parse(AccessLine(entry));
  ASSERT_TRUE(parsed.ok());
  for (const char* key : {"traceparent", "user", "error", "broken_off"}) {
    EXPECT_NE(parsed->Find(key), nullptr) << key;
  }
}

}  // namespace
}  // namespace tepal::lb
