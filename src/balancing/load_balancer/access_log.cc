#include "balancing/load_balancer/access_log.h"

#include <cstdio>
#include <ctime>

#include "core/json/writer.h"

namespace tepal::lb {

namespace {

// "2026-01-02T03:04:05.000006Z"
std::string TimeText(WallTime time) {
  const int64_t us = ToMicroseconds(time.time_since_epoch());
  const std::time_t seconds = static_cast<std::time_t>(us / 1'000'000);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[64];
  const size_t size = std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
  const int more =
      std::snprintf(text + size, sizeof(text) - size, ".%06dZ", static_cast<int>(us % 1'000'000));
  return std::string(text, size + static_cast<size_t>(more));
}

void Text(json::Writer& out, std::string_view key, std::string_view value) {
  if (!value.empty()) out.Key(key).String(value);
}

}  // namespace

std::string AccessLine(const AccessEntry& entry) {
  json::Writer out;
  out.BeginObject();
  out.Key("time").String(TimeText(entry.time));
  out.Key("request_id").String(entry.request_id);
  Text(out, "traceparent", entry.traceparent);
  Text(out, "client", entry.client);
  Text(out, "user", entry.user);
  out.Key("method").String(entry.method);
  out.Key("path").String(entry.path);
  out.Key("protocol").String(entry.protocol);
  Text(out, "model", entry.model);
  out.Key("upstream").String(entry.upstream);
  out.Key("status").Int(entry.status);
  if (entry.broken_off) out.Key("broken_off").Bool(true);
  if (entry.hedged) out.Key("hedged").Bool(true);
  Text(out, "error", entry.error);
  out.Key("tries").BeginArray();
  for (const AccessEntry::Try& one : entry.tries) {
    out.BeginObject().Key("endpoint").String(one.endpoint);
    out.Key("time_us").Int(ToMicroseconds(one.time)).EndObject();
  }
  out.EndArray();
  out.Key("time_us").Int(ToMicroseconds(entry.time_total));
  out.Key("queue_us").Int(ToMicroseconds(entry.time_waited));
  out.Key("bytes_received").Uint(entry.bytes_received);
  out.Key("bytes_sent").Uint(entry.bytes_sent);
  out.EndObject();
  return out.Take() + "\n";
}

}  // namespace tepal::lb
