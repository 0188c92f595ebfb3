// Requests and responses as every protocol version has them.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "network/http/headers.h"

namespace tepal::http {

enum class Version { kHttp10, kHttp11, kHttp2 };

struct RequestHead {
  std::string method;     // "GET"; case matters.
  std::string target;     // Path with query, as sent: "/v2/models/m?x=1". "*" for OPTIONS *.
  std::string authority;  // Host header or :authority; may be empty in HTTP/1.0.
  std::string scheme;     // "http" or "https".
  std::string peer;       // Servers: the client's IP address; empty for a Unix socket.
  Version version = Version::kHttp11;
  // Without Host and without what frames a message in HTTP/1.1 (connection, keep-alive,
  // proxy-connection, transfer-encoding, upgrade, content-length, te other than "trailers").
  Headers headers;
  std::optional<uint64_t> content_length;
  bool has_body = false;  // A body may follow; false when the head ends the request.

  // `target` up to '?'.
  std::string_view path() const;
  std::string_view query() const;  // After '?'; empty without one.
};

struct ResponseHead {
  int status = 200;
  Headers headers;  // Likewise without framing fields: sessions write those.
  // Set by whoever knows the body's size before it is sent; chunked or unframed otherwise.
  std::optional<uint64_t> content_length;
  bool has_body = false;  // On the client side: a body may follow.
};

// "Not Found"; empty for a status without a registered phrase.
std::string_view ReasonPhrase(int status);

}  // namespace tepal::http
