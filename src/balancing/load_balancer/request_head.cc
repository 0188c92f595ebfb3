#include "balancing/load_balancer/request_head.h"

#include <algorithm>

#include "core/base/text.h"
#include "serving/kserve_wire/request_facts.h"

namespace tepal::lb {

namespace {

std::string NewRequestId(env::Random& random) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string id;
  for (int word = 0; word < 2; ++word) {
    uint64_t bits = random.Next();
    for (int digit = 0; digit < 16; ++digit, bits >>= 4) id.push_back(kHex[bits & 15]);
  }
  return id;
}

// One that a log can take as it is.
bool IsRequestId(std::string_view text) {
  constexpr size_t kBytesMax = 128;
  return !text.empty() && text.size() <= kBytesMax &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

std::string_view ProtocolText(http::Version version) {
  switch (version) {
    case http::Version::kHttp10:
      return "HTTP/1.0";
    case http::Version::kHttp11:
      return "HTTP/1.1";
    case http::Version::kHttp2:
      return "HTTP/2";
  }
  return "";
}

}  // namespace

void PrepareHead(http::RequestHead& head, env::Random& random) {
  http::Headers& headers = head.headers;
  const auto id = headers.Get("x-request-id");
  if (!id.has_value() || !IsRequestId(*id)) headers.Set("x-request-id", NewRequestId(random));
  if (!head.peer.empty()) {
    const auto before = headers.Get("x-forwarded-for");
    headers.Set("x-forwarded-for",
                before.has_value() ? Concat(*before, ", ", head.peer) : head.peer);
  }
  if (!headers.Has("x-forwarded-proto")) {
    headers.Add("x-forwarded-proto", head.scheme.empty() ? "http" : head.scheme);
  }
  headers.Remove("expect");  // The client has been told to continue by us.
}

AccessEntry EntryOf(const http::RequestHead& head) {
  AccessEntry entry;
  entry.request_id = head.headers.Get("x-request-id").value_or("");
  entry.traceparent = head.headers.Get("traceparent").value_or("");
  entry.client = head.peer;
  entry.method = head.method;
  entry.path = head.path();
  entry.protocol = ProtocolText(head.version);
  constexpr std::string_view kStatisticsOfAll = "/v2/models/stats";
  if (head.path() != kStatisticsOfAll) entry.model = ModelOfPath(head.path());
  return entry;
}

}  // namespace tepal::lb
